"""How the weights move: parameter groups of AdamW, and the learning rate of each epoch."""

import math
from typing import Any

from torch import nn

SPARED = frozenset({"A_log", "D"})
"""Parameters of the scan with two or more axes that weight decay must not pull to zero."""


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split the trainable parameters into those that weight decay shrinks and those it spares.

    Decayed are matrices and convolution kernels. Spared are biases, the gains of norms, and the scan's
    A_log and D, whose size carries a meaning of its own (a decay rate, a pass-through gain). The released
    training code decays every parameter.

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


def learning_rate(epoch: int, epochs: int, highest: float, lowest: float, warmup: int = 0) -> float:
    """Return the learning rate of an epoch: a linear rise, then one half-period of a cosine.

    A function of the epoch alone, so that a resumed run needs no scheduler state.

    Args:
        epoch: Counted from 0.
        epochs: Epochs of the whole run; the last one runs at `lowest`.
        highest: Learning rate after the rise.
        lowest: Learning rate at the end.
        warmup: Epochs of the rise; fewer where the run is too short for a last one after them.
    """
    warmup = min(warmup, epochs - 1)
    if epoch < warmup:
        return highest * (epoch + 1) / (warmup + 1)
    progress = (epoch - warmup) / max(1, epochs - warmup - 1)
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * min(1.0, progress))) / 2
