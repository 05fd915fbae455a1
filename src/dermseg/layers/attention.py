"""Attention by gates: channels or pixels of a map are multiplied by learned factors between 0 and 1 (CBAM).

Woo et al., "CBAM: Convolutional Block Attention Module", arXiv 1807.06521. Maps are channels first.
"""

import torch
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    """Multiplies each channel by a factor that the mean and the maximum of every channel decide.

    Args:
        width: Channels.
        reduction: Hidden units of the two layers are `width / reduction`, at least one.
    """

    def __init__(self, width: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(width // reduction, 1)
        self.squeeze = nn.Conv2d(width, hidden, 1, bias=False)
        self.excite = nn.Conv2d(hidden, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        pooled = (x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True))
        mean, largest = (self.excite(self.squeeze(values).relu()) for values in pooled)
        return x * torch.sigmoid(mean + largest)


class SpatialAttention(nn.Module):
    """Multiplies each pixel by a factor that mean and maximum over the channels around it decide.

    Args:
        kernel: Side of the convolution's window.
        dilation: Distance between the window's pixels.
        bias: Whether the convolution has a bias.
    """

    def __init__(self, kernel: int = 7, dilation: int = 1, bias: bool = False) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.project = nn.Conv2d(2, 1, kernel, padding=padding, dilation=dilation, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W), any number of channels, to the same shape."""
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)
        return x * torch.sigmoid(self.project(pooled))
