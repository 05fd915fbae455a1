"""What every loss asks of its arguments."""

import torch
from torch import Tensor


def comparable(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Bring logits and target of one shape to one type: that of the logits, at least float32.

    Raises:
        ValueError: The shapes differ.
    """
    if logits.shape != target.shape:
        raise ValueError(f"logits {tuple(logits.shape)} and target {tuple(target.shape)} differ in shape")
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    return logits, target.to(logits.dtype)
