"""UNETR's residual blocks of convolutions with instance norm. Maps are (B, C, H, W).

Hatamizadeh et al., "UNETR: Transformers for 3D Medical Image Segmentation", arXiv 2103.10504.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.01
"""Of the leaky ReLU below zero."""


class UNETRBlock(nn.Module):
    """Two 3x3 convolutions with instance norm, which learns nothing; the input is added.

    Args:
        width: Channels of the input.
        out: Channels of the result; where they differ, the input passes a 1x1 convolution and a norm.
    """

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, out, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(width, out, 1, bias=False) if width != out else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W), more than one pixel, to (B, out, H, W)."""
        y = F.leaky_relu(F.instance_norm(self.conv1(x)), SLOPE)
        y = F.instance_norm(self.conv2(y))
        kept = x if self.shortcut is None else F.instance_norm(self.shortcut(x))
        return F.leaky_relu(y + kept, SLOPE)


class UNETRUpBlock(nn.Module):
    """Doubles the map by a transposed convolution, joins the skip and passes a residual block.

    Args:
        width: Channels of the input.
        out: Channels of the skip and of the result.
    """

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.expand = nn.ConvTranspose2d(width, out, 2, stride=2, bias=False)
        self.block = UNETRBlock(2 * out, out)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map (B, width, H, W) and skip (B, out, 2H, 2W) to (B, out, 2H, 2W)."""
        decoded: Tensor = self.block(torch.cat([self.expand(x), skip], dim=1))
        return decoded
