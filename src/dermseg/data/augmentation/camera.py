"""What happens in a camera and after it, where chance wants it: blur, noise, compression."""

import math

import numpy as np
import torch

from dermseg.data.augmentation.draws import FloatArray, ImageDraws
from dermseg.data.augmentation.operators import Operators, Picture
from dermseg.data.augmentation.settings import Augmentation

_HIGHEST_QUALITY = 95
_LEAST_SIGMA = 0.2
"""A blur of fewer pixels than this changes nothing."""


def photograph(
    image: Picture, draws: ImageDraws, augmentation: Augmentation, operators: Operators[Picture]
) -> None:
    """Blur, roughen and compress an image uint8 (3, H, W), in place."""
    height, width = image.shape[1:]
    if draws.happens("blur", augmentation):
        sigma = augmentation.blur_sigma * draws.numbers["blur_sigma"] * max(height, width)
        if sigma >= _LEAST_SIGMA:
            operators.blur(image, _gaussian(sigma, height), _gaussian(sigma, width))
    if draws.happens("noise", augmentation):
        # Twice as fast as NumPy's generators, and on one thread.
        generator = torch.Generator().manual_seed(draws.seed("noise_seed"))
        grain = torch.randn(3, height, width, generator=generator).numpy()
        operators.add(image, grain, 255 * augmentation.noise_sigma * draws.numbers["noise_sigma"])
    if draws.happens("jpeg", augmentation):
        lowest = augmentation.jpeg_quality
        quality = lowest + int((_HIGHEST_QUALITY + 1 - lowest) * draws.numbers["jpeg_quality"])
        operators.compress(image, quality)


def _gaussian(sigma: float, side: int) -> FloatArray:
    """Weights of a Gaussian of `sigma` pixels, to three of them or as far as the mirrored image reaches."""
    reach = min(math.ceil(3 * sigma), side - 1)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2).astype(np.float32)
    shares: FloatArray = weights / weights.sum()
    return shares
