"""Selective-kernel convolution: windows of several sizes side by side, mixed per channel and image.

Li et al., "Selective Kernel Networks", arXiv 1903.06586. Maps are channels first.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HIDDEN = 32
"""Hidden units that decide the mixture."""


class PooledBatchNorm(nn.BatchNorm2d):
    """Batch norm of maps pooled to one pixel, which a training batch of one image has no statistics for.

    Such a batch is normalised by the running statistics, where PyTorch would raise an error.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, 1, 1) to the same shape."""
        if self.training and len(x) == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


class SelectiveKernel(nn.Module):
    """Depthwise 7x7 convolutions of dilation 1 and 2; the mean of their sum decides the share of each.

    Args:
        width: Channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_branch(width, dilation) for dilation in (1, 2))
        self.squeeze = nn.Sequential(
            nn.Conv2d(width, HIDDEN, 1, bias=False), PooledBatchNorm(HIDDEN), nn.ReLU()
        )
        self.excite = nn.ModuleList(nn.Conv2d(HIDDEN, width, 1) for _ in self.branches)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        maps = torch.stack([branch(x) for branch in self.branches])
        squeezed = self.squeeze(maps.sum(0).mean((2, 3), keepdim=True))
        shares = torch.softmax(torch.stack([excite(squeezed) for excite in self.excite]), dim=0)
        return (maps * shares).sum(0)


def _branch(width: int, dilation: int) -> nn.Sequential:
    conv = nn.Conv2d(width, width, 7, padding=3 * dilation, dilation=dilation, groups=width, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU())
