"""What an sLSTM carries from one time step to the next."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class SLSTMState(NamedTuple):
    """State of an sLSTM; every tensor is (batch, heads, head_dim).

    Cell and normaliser are stored divided by e^m: the c and n of Eqs 6-7 are `c * exp(m)` and `n * exp(m)`.
    """

    c: Tensor
    """Memory cell (Eq 6)."""
    n: Tensor
    """Normaliser (Eq 7)."""
    m: Tensor
    """Stabiliser, the logarithm of the scale of `c` and `n`; -inf where nothing was stored yet."""
    h: Tensor
    """Hidden state (Eq 8)."""


def empty_state(shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> SLSTMState:
    """Make the state before the first step: no memory, so its scale e^m is zero.

    Args:
        shape: (batch, heads, head_dim).
        dtype: Type of the four tensors.
        device: Where they are made.
    """
    zero = torch.zeros(shape, dtype=dtype, device=device)
    return SLSTMState(c=zero, n=zero, m=torch.full_like(zero, -math.inf), h=zero)
