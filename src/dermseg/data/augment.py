"""Random views of images with their masks: the one entry to what `dermseg.data.augmentation` is made of."""

import torch
from torch import Tensor

from dermseg.data.augmentation.settings import (
    DEFAULT,
    NONE,
    PRESETS,
    STRONG,
    Augmentation,
    create_augmentation,
)
from dermseg.data.augmentation.transform import RandomView
from dermseg.data.augmentation.views import augment

__all__ = [
    "DEFAULT",
    "NONE",
    "PRESETS",
    "STRONG",
    "Augmentation",
    "RandomView",
    "augment",
    "create_augmentation",
    "normalize",
]


def normalize(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Scale uint8 images (B, 3, H, W) to [0, 1], subtract `mean` and divide by `std`, per channel."""
    shape = (1, -1, 1, 1)
    centre = 255.0 * torch.tensor(mean, device=images.device).view(shape)
    return (images.float() - centre) / (255.0 * torch.tensor(std, device=images.device).view(shape))
