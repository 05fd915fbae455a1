"""The shifted MLP of UNeXt: linear layers that see neighbouring pixels because their inputs were moved."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.layers.convolution import init_fan_out

REACH = 2
"""Largest shift in pixels; the 2 REACH + 1 groups of channels are shifted by -REACH to REACH."""
ROWS, COLUMNS = 2, 3
"""Axes of a map (B, C, H, W)."""


def shift(x: Tensor, axis: int) -> Tensor:
    """Move five groups of channels by -2, -1, 0, 1 and 2 pixels along one axis; zeros come in at the border.

    The groups are those of `torch.chunk`: equal but for a smaller last one, and fewer than five where there
    are fewer than five channels, or 6, 7, 8, 11, 12 or 16; the largest shifts then have no group.

    Args:
        x: Map (B, C, H, W).
        axis: `ROWS` to move up and down, `COLUMNS` to move left and right.

    Returns:
        The moved map, of the same shape.
    """
    size = x.shape[axis]
    padded = F.pad(x, (0, 0, REACH, REACH) if axis == ROWS else (REACH, REACH))
    groups = padded.chunk(2 * REACH + 1, dim=1)
    # Moved by s = number - REACH, place p holds what was at p - s: in the padded map at p - s + REACH.
    return torch.cat(
        [group.narrow(axis, 2 * REACH - number, size) for number, group in enumerate(groups)], dim=1
    )


def at_every_pixel(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a layer that expects channels last, such as LayerNorm, to a map (B, C, H, W)."""
    y: Tensor = layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return y


class ShiftedMLP(nn.Module):
    """Shift along the height, linear, depthwise 3x3, GELU, shift along the width, linear.

    Linear weights begin as in the release, normal with std 0.02; the convolution as `init_fan_out` says.

    Args:
        width: Channels, of the hidden layer as well.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.second = nn.Linear(width, width)
        for linear in (self.first, self.second):
            nn.init.trunc_normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)
        init_fan_out(self.depthwise)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        x = F.gelu(self.depthwise(at_every_pixel(self.first, shift(x, ROWS))))
        return at_every_pixel(self.second, shift(x, COLUMNS))


class ShiftedMLPBlock(nn.Module):
    """x + ShiftedMLP(LayerNorm(x)), on maps with channels first.

    Args:
        width: Channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mlp = ShiftedMLP(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        y: Tensor = x + self.mlp(at_every_pixel(self.norm, x))
        return y
