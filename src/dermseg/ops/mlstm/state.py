"""What an mLSTM carries from one time step to the next."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class MLSTMState(NamedTuple):
    """State of an mLSTM.

    Memory and normaliser are stored divided by e^m: the C and n of Eqs 11-12 are `C * exp(m)` and
    `n * exp(m)`.
    """

    C: Tensor
    """Matrix memory (batch, heads, head_dim, head_dim): values along the rows, keys along the columns."""
    n: Tensor
    """Normaliser (batch, heads, head_dim)."""
    m: Tensor
    """Stabiliser (batch, heads), the logarithm of the scale; -inf where nothing was stored yet."""


def empty_state(shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> MLSTMState:
    """Make the state before the first step: no memory, so its scale e^m is zero.

    Args:
        shape: (batch, heads, head_dim).
        dtype: Type of the three tensors.
        device: Where they are made.
    """
    batch, heads, head_dim = shape
    return MLSTMState(
        C=torch.zeros(batch, heads, head_dim, head_dim, dtype=dtype, device=device),
        n=torch.zeros(batch, heads, head_dim, dtype=dtype, device=device),
        m=torch.full((batch, heads), -math.inf, dtype=dtype, device=device),
    )


def floor(m: Tensor) -> Tensor:
    """Give the 1 of max(|nᵀq|, 1) in Eq 12, divided by e^m as n is.

    Where e^-m would overflow it stays just below: the quotient is zero either way, but an infinity would
    turn its gradient into NaN.
    """
    largest = math.floor(math.log(torch.finfo(m.dtype).max))
    return torch.exp((-m).clamp(max=largest))
