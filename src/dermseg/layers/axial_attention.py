"""CaraNet's axial attention: two passes with sigmoid weights, as released.

Lou et al., "CaraNet: Context Axial Reverse Attention Network for Segmentation of Small Medical Objects",
doi 10.1117/12.2611802.
"""

import torch
from torch import Tensor, nn

REDUCTION = 8
"""Channels of the map per channel of a query."""


class LineAttention(nn.Module):
    """One pass of attention, added to its input by a learned factor that starts at 0.

    The map, read row by row, is cut into lines of `length` values. Every place along a line is a query and a
    key, made of all channels of all lines, so that one square matrix of weights serves the whole map. The
    weights are sigmoids of the unscaled products; they need not sum to 1.

    Args:
        width: Channels, a multiple of 8.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(width, width // REDUCTION, 1, bias=False)
        self.key = nn.Conv2d(width, width // REDUCTION, 1, bias=False)
        self.value = nn.Conv2d(width, width, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, length: int) -> Tensor:
        """Map (B, C, H, W) to the same shape; `length` must divide H W."""
        query, key, value = (
            part(x).reshape(x.shape[0], -1, length) for part in (self.query, self.key, self.value)
        )
        weights = (query.transpose(1, 2) @ key).sigmoid()
        attended: Tensor = (value @ weights.transpose(1, 2)).reshape(x.shape)
        return x + self.gamma * attended


class AxialAttention(nn.Module):
    """Two convolutions, then attention in lines as long as the map is high, and as long as it is wide.

    A row is a line as long as the map is wide. The release cuts lines for the "height" from the rows as well,
    without exchanging the axes first. On a square map both passes therefore attend along the rows, and none
    along the columns; on any other map the lines of the first pass mix both axes. This module does the same.

    Args:
        width: Channels, a multiple of 8.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(width, width, 1, bias=False)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.height = LineAttention(width)
        self.width = LineAttention(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        height, width = x.shape[-2:]
        x = self.height(self.conv1(self.conv0(x)), height)
        attended: Tensor = self.width(x, width)
        return attended
