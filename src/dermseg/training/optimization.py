"""How the weights move: the optimizer, and which parameters it decays."""

from typing import Any

import torch
from torch import nn

from dermseg.training.arguments import TrainArguments

SPARED = frozenset({"A_log", "D"})
"""Parameters of the scan with two or more axes that weight decay must not pull to zero."""


def create_optimizer(model: nn.Module, arguments: TrainArguments) -> torch.optim.Optimizer:
    """Return the optimizer of a run; its learning rate is set anew at the start of each epoch."""
    a = arguments
    groups = [{"params": [p for p in model.parameters() if p.requires_grad], "weight_decay": a.weight_decay}]
    if not a.decay_all:
        groups = parameter_groups(model, a.weight_decay)
    # In mixed precision Lightning refuses to clip gradients for a fused optimizer.
    fused = a.precision == "32"
    if a.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=a.learning_rate, momentum=a.momentum, fused=fused)
    kind = torch.optim.AdamW if a.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=a.learning_rate, betas=a.betas, fused=fused)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split the trainable parameters into those that weight decay shrinks and those it spares.

    Decayed are matrices and convolution kernels. Spared are biases, the gains of norms, and the scan's
    A_log and D, whose size carries a meaning of its own (a decay rate, a pass-through gain).

    Args:
        model: The network.
        weight_decay: Decay of the first group.

    Returns:
        Two groups for a torch optimizer.
    """
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            last = name.rpartition(".")[2]
            spare = parameter.ndim < 2 or last in SPARED or "bias" in last
            (spared if spare else decayed).append(parameter)
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
