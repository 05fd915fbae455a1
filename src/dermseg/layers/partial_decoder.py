"""The partial decoder of PraNet and CaraNet: three maps, multiplied and joined, to one map of logits.

Wu, Su and Huang, "Cascaded Partial Decoder for Fast and Accurate Salient Object Detection", arXiv 1904.08739.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PartialDecoder(nn.Module):
    """Bring three maps of equal width, each twice as fine as the next, to logits at the finest resolution.

    A finer map is multiplied by every coarser one, and then joined with what the next coarser became. Maps
    are enlarged bilinearly, their corner pixels staying in the corners.

    Args:
        width: Channels of each map.
        convolution: Makes the 3x3 convolution, with whatever follows it, from and to so many channels.
    """

    def __init__(self, width: int, convolution: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.up1 = convolution(width)
        self.up2 = convolution(width)
        self.up3 = convolution(width)
        self.up4 = convolution(width)
        self.up5 = convolution(2 * width)
        self.join2 = convolution(2 * width)
        self.join3 = convolution(3 * width)
        self.last = convolution(3 * width)
        self.head = nn.Conv2d(3 * width, 1, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Map maps (B, width, H', W'), fine to coarse, to logits (B, 1, H', W') as fine as the first."""
        fine, middle, coarse = maps
        doubled = _double(coarse)
        weighted = self.up2(_double(doubled)) * self.up3(_double(middle)) * fine
        joined = self.join2(torch.cat([self.up1(doubled) * middle, self.up4(doubled)], dim=1))
        joined = self.join3(torch.cat([weighted, self.up5(_double(joined))], dim=1))
        logits: Tensor = self.head(self.last(joined))
        return logits


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
