"""Residual blocks of nnU-Net's residual encoder, with instance normalisation. Maps are (B, C, H, W)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.layers.convolution import convolution

SLOPE = 0.01
"""Of the leaky ReLU below zero."""


class InstanceNorm(nn.Module):
    """Gives every channel of every image mean 0 and variance 1, then scales and shifts it.

    Unlike PyTorch's own module this one takes maps of a single pixel, which become the shift.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        return torch.instance_norm(x, self.weight, self.bias, None, None, True, 0.0, 1e-5, False)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with InstanceNorm and a leaky ReLU between, plus the input, then a leaky ReLU.

    Args:
        given: Channels of the input.
        made: Channels of the result.
        stride: Of the first convolution and of the shortcut.
        projected: Whether the shortcut is a 1x1 convolution, without normalisation, instead of the identity.
    """

    def __init__(self, given: int, made: int, stride: int = 1, *, projected: bool) -> None:
        super().__init__()
        self.first = convolution(given, made, stride=stride)
        self.first_norm = InstanceNorm(made)
        self.second = convolution(made, made)
        self.second_norm = InstanceNorm(made)
        self.shortcut = convolution(given, made, kernel=1, stride=stride) if projected else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, given, H, W) to (B, made, H/stride, W/stride)."""
        inner = F.leaky_relu(self.first_norm(self.first(x)), SLOPE)
        return F.leaky_relu(self.second_norm(self.second(inner)) + self.shortcut(x), SLOPE)


def residual_blocks(given: int, made: int, count: int, stride: int = 1) -> nn.Sequential:
    """Return residual blocks in sequence: the first changes channels and resolution, the others nothing."""
    first = ResidualBlock(given, made, stride, projected=True)
    return nn.Sequential(first, *(ResidualBlock(made, made, projected=False) for _ in range(count - 1)))


def init_he(module: nn.Module) -> None:
    """Draw the weight of a 2D convolution as He et al. do for a leaky ReLU; bias 0."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, a=SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
