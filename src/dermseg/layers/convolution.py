"""Convolutional blocks of the U-Nets. All maps are (B, C, H, W); every convolution keeps height and width."""

import math

import torch
from torch import Tensor, nn


def convolution(given: int, made: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Return a convolution with bias whose zero padding keeps height and width at stride 1."""
    return nn.Conv2d(given, made, kernel, stride, padding=kernel // 2)


def init_fan_out(convolution: nn.Conv2d) -> None:
    """Draw a weight from a normal distribution of variance 2 / (kernel area x outputs per group); bias 0."""
    fan_out = math.prod(convolution.kernel_size) * convolution.out_channels // convolution.groups
    nn.init.normal_(convolution.weight, std=math.sqrt(2 / fan_out))
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)


def convolution_norm_relu(given: int, made: int) -> nn.Sequential:
    """Return a 3x3 convolution, BatchNorm and ReLU."""
    return nn.Sequential(convolution(given, made), nn.BatchNorm2d(made), nn.ReLU(inplace=True))


def double_convolution(given: int, made: int) -> nn.Sequential:
    """Return the block of U-Net: 3x3 convolution, BatchNorm and ReLU, twice."""
    return nn.Sequential(*convolution_norm_relu(given, made), *convolution_norm_relu(made, made))


class UpConvolution(nn.Sequential):
    """Nearest-neighbour enlargement by 2, then 3x3 convolution, BatchNorm, ReLU."""

    def __init__(self, given: int, made: int) -> None:
        super().__init__(nn.Upsample(scale_factor=2), *convolution_norm_relu(given, made))


class RecurrentConvolution(nn.Module):
    """One convolution applied again and again to the input plus its own last result (R2U-Net, section III).

    All steps share weights and BatchNorm, whose running statistics a training step therefore moves
    `steps + 1` times.

    Args:
        width: Channels.
        steps: Recurrent steps after the first, feed-forward one.
    """

    def __init__(self, width: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.convolution = convolution_norm_relu(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        result: Tensor = self.convolution(x)
        for _ in range(self.steps):
            result = self.convolution(x + result)
        return result


class RecurrentResidualBlock(nn.Module):
    """The block of R2U-Net: 1x1 convolution to the new width, plus two recurrent convolutions of its result.

    Args:
        given: Channels of the input.
        made: Channels of the result.
        steps: Recurrent steps of each recurrent convolution.
    """

    def __init__(self, given: int, made: int, steps: int) -> None:
        super().__init__()
        self.projection = convolution(given, made, kernel=1)
        self.recurrent = nn.Sequential(RecurrentConvolution(made, steps), RecurrentConvolution(made, steps))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, given, H, W) to (B, made, H, W); nothing follows the addition."""
        x = self.projection(x)
        added: Tensor = x + self.recurrent(x)
        return added


class PreActivationBlock(nn.Module):
    """The block of ResUNet: BatchNorm, ReLU and 3x3 convolution, twice, plus a normalised shortcut.

    Args:
        given: Channels of the input.
        made: Channels of the result.
        stride: Of the first convolution and of the shortcut.
    """

    def __init__(self, given: int, made: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(given),
            nn.ReLU(inplace=True),
            convolution(given, made, stride=stride),
            nn.BatchNorm2d(made),
            nn.ReLU(inplace=True),
            convolution(made, made),
        )
        self.shortcut = nn.Sequential(convolution(given, made, stride=stride), nn.BatchNorm2d(made))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, given, H, W) to (B, made, H/stride, W/stride); nothing follows the addition."""
        added: Tensor = self.body(x) + self.shortcut(x)
        return added


class AttentionGate(nn.Module):
    """Weighs every pixel of a skip by how well it fits the decoder's map (Attention U-Net, Eqs 1-2).

    Both maps have the same resolution here; no gating signal is resampled.

    Args:
        width: Channels of the skip and of the decoder's map; inside there are half as many.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = width // 2
        self.from_gate = nn.Sequential(convolution(width, inner, kernel=1), nn.BatchNorm2d(inner))
        self.from_skip = nn.Sequential(convolution(width, inner, kernel=1), nn.BatchNorm2d(inner))
        self.weight = nn.Sequential(convolution(inner, 1, kernel=1), nn.BatchNorm2d(1), nn.Sigmoid())

    def forward(self, skip: Tensor, gate: Tensor) -> Tensor:
        """Map skip and decoder map, both (B, width, H, W), to the weighted skip of the same shape."""
        weighted: Tensor = skip * self.weight(torch.relu(self.from_gate(gate) + self.from_skip(skip)))
        return weighted
