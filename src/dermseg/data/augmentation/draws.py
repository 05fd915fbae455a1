"""What chance decides about a batch: one row of numbers for every image, each with a name."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dermseg.data.augmentation.settings import Augmentation

FloatArray = NDArray[np.float32]

POINTS = 6
"""Control points of the warp along each axis."""

_VALUES = (
    *("mirror", "flip", "angle", "scale", "shift_x", "shift_y", "aspect"),
    *("brightness", "contrast", "saturation", "hue", "red", "blue", "gamma", "gradient_x", "gradient_y"),
    *("vignette_loss", "corner_radius", "corner_x", "corner_y", "corner_aspect"),
    *("corner_softness", "corner_light"),
    *("blur_sigma", "noise_sigma", "jpeg_quality"),
)
"""Where in its range a value lies."""
_SHARES = ("vignette", "corners", "hair", "bubbles", "ruler", "ink", "blur", "noise", "jpeg", "frame")
"""Whether a change happens."""
_SEEDS = ("scene_seed", "noise_seed", "frame_seed")
_NAMES = (*_VALUES, *_SHARES, *_SEEDS)


@dataclass(frozen=True)
class ImageDraws:
    """The draws of one image, for what is done to images one by one."""

    numbers: Mapping[str, float]
    """By name, in [0, 1)."""

    def happens(self, name: str, augmentation: Augmentation) -> bool:
        """Say whether the image gets a change, by the share of that name."""
        share: float = getattr(augmentation, name)
        return self.numbers[name] < share

    def seed(self, name: str) -> int:
        """Return a seed."""
        return int(self.numbers[name] * 2**24)  # as many values as float32 has below 1


class Draws:
    """The draws of a batch.

    A row depends on the generator and on the number of images before it in the batch, on nothing else.

    Args:
        count: Images of the batch.
        generator: A CPU generator; None for PyTorch's global one.
    """

    def __init__(self, count: int, generator: torch.Generator | None) -> None:
        # One call, so that a row does not depend on how many rows follow.
        self._table = torch.rand(count, len(_NAMES) + 2 * POINTS * POINTS, generator=generator).numpy()

    def share(self, name: str) -> FloatArray:
        """Return the draws (B,) of a value, in [0, 1)."""
        return self._table[:, _NAMES.index(name)]

    def either_way(self, name: str) -> FloatArray:
        """Return the draws (B,) of a value, in [-1, 1)."""
        return self.share(name) * 2 - 1

    def warp(self) -> FloatArray:
        """Return the draws (B, 2, POINTS, POINTS) of control points along x and y, in [-1, 1)."""
        return self._table[:, len(_NAMES) :].reshape(-1, 2, POINTS, POINTS) * 2 - 1

    def images(self) -> list[ImageDraws]:
        """Return the same numbers image by image."""
        rows = self._table[:, : len(_NAMES)].tolist()
        return [ImageDraws(dict(zip(_NAMES, row, strict=True))) for row in rows]
