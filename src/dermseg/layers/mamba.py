"""The Mamba layer: a selective scan over a sequence of tokens, with its projections and its gate.

Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", arXiv 2312.00752 (figure 3).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.layers.ss2d import STEP_RANGE
from dermseg.ops.selective_scan import selective_scan

KERNEL = 4
"""Tokens that the convolution before the scan sees: the present one and three before it."""


class Mamba(nn.Module):
    """Mixes tokens from first to last; a token is influenced by itself and those before it alone.

    Two branches leave one linear layer. One passes a causal depthwise convolution, SiLU and the scan; the
    other, through SiLU, gates it. Delta, B and C are linear in the convolved tokens.

    Args:
        width: Features of a token, d. The scan runs on 2d channels.
        state: Size N of the state of each channel.
    """

    def __init__(self, width: int, state: int = 16) -> None:
        super().__init__()
        inner, rank = 2 * width, math.ceil(width / 16)
        self.state = state
        self.in_proj = nn.Linear(width, 2 * inner, bias=False)
        self.conv = nn.Conv1d(inner, inner, KERNEL, groups=inner)
        self.x_proj = nn.Linear(inner, rank + 2 * state, bias=False)
        self.step_proj = nn.Linear(rank, inner)
        self.A_log = nn.Parameter(torch.log(torch.arange(1.0, state + 1)).repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, width, bias=False)
        self.reset_steps()

    def reset_steps(self) -> None:
        """Draw the projection of Delta, its bias such that softplus(bias) is in `STEP_RANGE`."""
        rank = self.step_proj.in_features
        nn.init.uniform_(self.step_proj.weight, -(rank**-0.5), rank**-0.5)
        low, high = (math.log(step) for step in STEP_RANGE)
        with torch.no_grad():
            step = torch.exp(torch.rand_like(self.step_proj.bias) * (high - low) + low)
            self.step_proj.bias.copy_(step + torch.log(-torch.expm1(-step)))  # the inverse of softplus

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, L, width) to the same shape."""
        scanned, gate = self.in_proj(tokens).chunk(2, dim=-1)
        past = F.pad(scanned.transpose(1, 2), (KERNEL - 1, 0))
        scanned = F.silu(self.conv(past).transpose(1, 2))
        rank = self.step_proj.in_features
        low_rank, B, C = torch.split(self.x_proj(scanned), [rank, self.state, self.state], dim=-1)
        delta = F.linear(low_rank, self.step_proj.weight)
        y = selective_scan(scanned, delta, -torch.exp(self.A_log), B, C, self.D, self.step_proj.bias)
        gated: Tensor = self.out_proj(y * F.silu(gate))
        return gated
