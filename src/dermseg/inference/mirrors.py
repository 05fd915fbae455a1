"""Test-time augmentation: the mean over an image and its mirror images."""

import torch
from torch import Tensor

from dermseg.models.base import SegmentationModel

_FLIPS = ((), (3,), (2,), (2, 3))
"""Axes that are mirrored: none, left to right, top to bottom, both."""


def mean_of_mirrors(model: SegmentationModel, images: Tensor) -> Tensor:
    """Return logits (B, 1, H, W) that are the same for all four mirror images, and better on average.

    Args:
        model: In evaluation mode.
        images: Standardised, (B, 3, H, W).
    """
    # One after the other, so that memory stays that of one batch.
    return torch.stack([model(images.flip(axes)).flip(axes) for axes in _FLIPS]).mean(dim=0)
