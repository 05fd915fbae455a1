"""CaraNet's channel-wise feature pyramid: groups of channels that see further and further.

Lou and Loew, "CFPNet: Channel-Wise Feature Pyramid for Real-Time Semantic Segmentation", arXiv 2103.12212.
"""

from collections import OrderedDict
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn

EPSILON = 1e-3
"""Added to the variance by every normalisation of CaraNet's own layers."""
DILATIONS = (1, 3, 5, 9)
GROUPS = 2


def norm_act(width: int) -> nn.Sequential:
    """Return batch normalisation and an activation with one learned slope per channel."""
    return nn.Sequential(OrderedDict(norm=nn.BatchNorm2d(width, EPSILON), act=nn.PReLU(width)))


def conv_norm_act(given: int, wanted: int, dilation: int = 1, groups: int = 1) -> nn.Sequential:
    """Return a 3x3 convolution without bias that keeps the map's size, normalisation and activation."""
    conv = nn.Conv2d(given, wanted, 3, padding=dilation, dilation=dilation, groups=groups, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, norm_act=norm_act(wanted)))


class ChannelPyramid(nn.Module):
    """A quarter of the channels seen by four branches, whose running sums are joined and added to the input.

    Args:
        width: Channels, a multiple of 32.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter = norm_act(width)
        self.narrow = conv_norm_act(width, width // 4)
        self.branches = nn.ModuleList(_Branch(width // 4, rate) for rate in DILATIONS)
        self.leave = norm_act(width)
        self.join = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        narrow = self.narrow(self.enter(x))
        sums = accumulate(branch(narrow) for branch in self.branches)
        joined: Tensor = self.join(self.leave(torch.cat(list(sums), dim=1)))
        return x + joined


class _Branch(nn.ModuleList):
    """Three dilated convolutions in a row, whose outputs of 1/4, 1/4 and 1/2 of the width are joined."""

    def __init__(self, width: int, dilation: int) -> None:
        widths = (width, width // 4, width // 4, width // 2)
        super().__init__(conv_norm_act(*pair, dilation, GROUPS) for pair in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        outputs = []
        for convolution in self:
            x = convolution(x)
            outputs.append(x)
        return torch.cat(outputs, dim=1)
