"""The residual network that feeds TransUNet: weight-standardised convolutions and group normalisation.

Kolesnikov et al., "Big Transfer (BiT): General Visual Representation Learning", ECCV 2020, arXiv 1912.11370;
weight standardisation: Qiao et al., arXiv 1903.10520.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.layers.group_norm import GroupNorm

GROUPS = 32
EXPANSION = 4
WEIGHT_EPS = 1e-5
NORM_EPS = 1e-6
SHORTCUT_EPS = 1e-5


class StandardisedConv2d(nn.Conv2d):
    """A convolution whose weight has mean 0 and variance 1 for every output channel; no bias.

    Args:
        given: Input channels.
        made: Output channels.
        kernel: Side of the kernel, odd; the image is padded so that only the stride changes its size.
        stride: Step in pixels.
    """

    def __init__(self, given: int, made: int, kernel: int, stride: int = 1) -> None:
        super().__init__(given, made, kernel, stride, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, given, H, W) to (B, made, H/stride, W/stride), rounded up."""
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        weight = (self.weight - mean) / torch.sqrt(variance + WEIGHT_EPS)
        return F.conv2d(x, weight, None, self.stride, self.padding)


class Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride) and 1x1 convolution, each with GroupNorm, added to a shortcut, then ReLU.

    Although its weights are those of the pre-activation ResNet of BiT, activations come after the
    convolutions. The shortcut of a block that changes the shape is a 1x1 convolution, normalised with one
    group per channel.

    Args:
        given: Input channels.
        made: Output channels, four times those of the 3x3 convolution.
        stride: Step in pixels.
    """

    def __init__(self, given: int, made: int, stride: int = 1) -> None:
        super().__init__()
        inner = made // EXPANSION
        self.conv1 = StandardisedConv2d(given, inner, 1)
        self.norm1 = GroupNorm(GROUPS, inner, eps=NORM_EPS)
        self.conv2 = StandardisedConv2d(inner, inner, 3, stride)
        self.norm2 = GroupNorm(GROUPS, inner, eps=NORM_EPS)
        self.conv3 = StandardisedConv2d(inner, made, 1)
        self.norm3 = GroupNorm(GROUPS, made, eps=NORM_EPS)
        self.shortcut = nn.Identity() if given == made else _Shortcut(given, made, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, given, H, W) to (B, made, H/stride, W/stride), rounded up."""
        y = F.relu(self.norm1(self.conv1(x)))
        y = F.relu(self.norm2(self.conv2(y)))
        return F.relu(self.norm3(self.conv3(y)) + self.shortcut(x))


class _Shortcut(nn.Module):
    def __init__(self, given: int, made: int, stride: int) -> None:
        super().__init__()
        self.conv = StandardisedConv2d(given, made, 1, stride)
        self.norm = GroupNorm(made, made, eps=SHORTCUT_EPS)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x))
        return y


class StandardisedResNet(nn.Module):
    """A 7x7 convolution of stride 2, a 3x3 max pool of stride 2 without padding, three stages of bottlenecks.

    Args:
        width: Channels of the stem, a multiple of 32; the stages have 4, 8 and 16 times as many.
        depths: Bottlenecks of each stage.
    """

    def __init__(self, width: int, depths: Sequence[int]) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            StandardisedConv2d(3, width, 7, stride=2), GroupNorm(GROUPS, width, eps=NORM_EPS), nn.ReLU()
        )
        self.widths = [width * EXPANSION * 2**stage for stage in range(3)]
        self.stages = nn.ModuleList(
            _stage(given, made, depth, stride=1 if made == self.widths[0] else 2)
            for (given, made), depth in zip(pairwise((width, *self.widths)), depths, strict=True)
        )

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Map images (B, 3, H, W), H and W multiples of 16, to three skips and the coarsest map.

        The pool makes a map one pixel smaller than a quarter of the image. The first stage computes on that
        map; only as a skip it is filled up with a row and a column of zeros.

        Returns:
            The maps at 1/2, 1/4 and 1/8 of the image's size, and the one at 1/16.
        """
        first, second, third = self.stages
        half = self.stem(images)
        quarter = first(F.max_pool2d(half, 3, stride=2))
        eighth = second(quarter)
        return [half, F.pad(quarter, (0, 1, 0, 1)), eighth], third(eighth)


def _stage(given: int, made: int, depth: int, stride: int) -> nn.Sequential:
    return nn.Sequential(Bottleneck(given, made, stride), *(Bottleneck(made, made) for _ in range(depth - 1)))
