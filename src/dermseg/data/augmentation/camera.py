"""What happens in a camera and after it, to the images that chance chooses: blur, noise, compression."""

import io
import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as v2

from dermseg.data.augmentation.draws import Draws
from dermseg.data.augmentation.settings import Augmentation

_HIGHEST_QUALITY = 95
_LEAST_SIGMA = 0.2
"""A blur of fewer pixels than this changes nothing."""


def photograph(images: Tensor, draws: Draws, augmentation: Augmentation) -> None:
    """Blur, roughen and compress some of the images uint8 (B, 3, H, W), in place."""
    for index in draws.chosen("blur", augmentation):
        images[index] = _blurred(images[index], augmentation.blur_sigma * draws.number("blur_sigma", index))
    for index in draws.chosen("noise", augmentation):
        sigma = 255 * augmentation.noise_sigma * draws.number("noise_sigma", index)
        generator = torch.Generator().manual_seed(draws.seed("noise_seed", index))
        grain = torch.randn(images.shape[1:], generator=generator).to(images.device)
        images[index] = grain.mul_(sigma).add_(images[index]).round_().clamp_(0, 255)
    for index in draws.chosen("jpeg", augmentation):
        lowest = augmentation.jpeg_quality
        quality = lowest + int((_HIGHEST_QUALITY + 1 - lowest) * draws.number("jpeg_quality", index))
        images[index] = _compressed(images[index].cpu(), quality).to(images.device)


def _blurred(image: Tensor, sigma: float) -> Tensor:
    pixels = sigma * max(image.shape[1:])
    if pixels < _LEAST_SIGMA:
        return image
    # One axis after the other, which torchvision does not do by itself.
    for axis in (0, 1):
        # A kernel may not be wider than the image mirrored at its edges.
        radius = min(math.ceil(3 * pixels), image.shape[2 - axis] - 1)
        size = [1, 1]
        size[axis] = 2 * radius + 1
        image = v2.gaussian_blur(image, size, [pixels, pixels])
    return image


def _compressed(image: Tensor, quality: int) -> Tensor:
    # By Pillow, since torchvision is giving its encoders up.
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)
