"""Selective scan (S6), written as its equations: slow, differentiable by autograd, the specification."""

import torch
import torch.nn.functional as F
from torch import Tensor


def selective_scan(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, delta_bias: Tensor
) -> Tensor:
    """Run the discretised state-space model of Eqs 1-5 along a sequence, one step at a time.

    Eq 2 discretises A exactly (zero-order hold). For B the first-order form B̄ = ΔB is used, as in
    Mamba and in every released network of this family.

    Args:
        u: Input sequence (batch, L, channels).
        delta: Step sizes before bias and softplus (batch, L, channels).
        A: State matrix, diagonal per channel (channels, N); negative.
        B: Input matrix of every step (batch, L, N).
        C: Output matrix of every step (batch, L, N).
        D: Direct path from input to output (channels,).
        delta_bias: Added to `delta` (channels,).

    Returns:
        Output sequence (batch, L, channels).
    """
    step = F.softplus(delta + delta_bias)  # Eq 5
    state = u.new_zeros(u.shape[0], *A.shape)  # (batch, channels, N)
    outputs = []
    for u_t, step_t, B_t, C_t in zip(u.unbind(1), step.unbind(1), B.unbind(1), C.unbind(1), strict=True):
        A_bar = torch.exp(step_t[:, :, None] * A)  # Eq 2
        B_bar = step_t[:, :, None] * B_t[:, None, :]
        state = A_bar * state + B_bar * u_t[:, :, None]  # Eq 3
        outputs.append((state * C_t[:, None, :]).sum(-1))
    return torch.stack(outputs, dim=1) + D * u
