"""SS2D: the 2-D selective scan of VMamba with its projections (paper sections 3.2 and 3.3, Eq 5)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.ops.depthwise import convolve_silu
from dermseg.ops.gate import normalise_gate
from dermseg.ops.ss2d import projected_ss2d_scan

DIRECTIONS = 4
STEP_RANGE = (1e-3, 1e-1)
"""Range of the initial step sizes Delta, drawn uniformly in their logarithm, as Mamba does."""


class SS2D(nn.Module):
    """Scans a map along four directions with S6 (Eqs 1-5) and gates the result.

    Two branches leave one linear layer. One passes a depthwise 3x3 convolution, SiLU and the scan; the other,
    through SiLU, gates it. Delta, B and C of Eq 5 are linear in the scanned map, with one projection per
    direction. At a pixel they depend on that pixel alone, so they are computed on the row-major map, all
    directions in one matrix product, before the scan orders the pixels; no copy of the map per direction.

    Args:
        width: Channels of input and output, d. The scan runs on 2d channels.
        state: Size N of the state of each channel.
    """

    def __init__(self, width: int, state: int = 16) -> None:
        super().__init__()
        inner, rank = 2 * width, math.ceil(width / 16)
        self.state = state
        self.rank = rank
        self.in_proj = nn.Linear(width, 2 * inner, bias=False)
        self.conv = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.x_proj = nn.Parameter(torch.empty(DIRECTIONS, rank + 2 * state, inner))
        self.step_weight = nn.Parameter(torch.empty(DIRECTIONS, inner, rank))
        self.step_bias = nn.Parameter(torch.empty(DIRECTIONS, inner))
        self.A_log = nn.Parameter(torch.empty(DIRECTIONS, inner, state))
        self.D = nn.Parameter(torch.ones(DIRECTIONS, inner))
        self.norm = nn.LayerNorm(inner)
        self.out_proj = nn.Linear(inner, width, bias=False)
        self.reset_scan_parameters()

    def reset_scan_parameters(self) -> None:
        """Draw the projections of Delta, B and C; A = -1, ..., -N; softplus(step bias) in `STEP_RANGE`."""
        inner = self.x_proj.shape[-1]
        nn.init.uniform_(self.x_proj, -(inner**-0.5), inner**-0.5)
        nn.init.uniform_(self.step_weight, -(self.rank**-0.5), self.rank**-0.5)
        low, high = (math.log(step) for step in STEP_RANGE)
        with torch.no_grad():
            step = torch.exp(torch.rand_like(self.step_bias) * (high - low) + low)
            self.step_bias.copy_(step + torch.log(-torch.expm1(-step)))  # the inverse of softplus
            self.A_log.copy_(torch.log(torch.arange(1.0, self.state + 1)).expand_as(self.A_log))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, width) to the same shape."""
        scanned, gate = self.in_proj(x).chunk(2, dim=-1)
        scanned = convolve_silu(scanned, self.conv)
        projected = F.linear(scanned, self.x_proj.flatten(0, 1)).reshape(*scanned.shape[:3], DIRECTIONS, -1)
        A = -torch.exp(self.A_log)
        y = projected_ss2d_scan(scanned, projected, self.step_weight, A, self.D, self.step_bias)
        gated: Tensor = self.out_proj(normalise_gate(y, gate, self.norm))
        return gated
