"""Group normalisation of maps as small as one pixel."""

import torch
from torch import Tensor, nn


class GroupNorm(nn.GroupNorm):
    """Group normalisation that takes a group of one value as well, which becomes the bias.

    PyTorch's refuses a single image of that size, in evaluation too: it would have no logits.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map (B, C, ...) to the same shape."""
        return torch.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)
