"""What chance decides about a batch: one row of numbers for every image, each with a name."""

import torch
from torch import Tensor

from dermseg.data.augmentation.settings import Augmentation

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
_SHARES = ("vignette", "corners", "hair", "bubbles", "ruler", "ink", "blur", "noise", "jpeg")
"""Whether a change happens."""
_SEEDS = ("scene_seed", "noise_seed")


class Draws:
    """The draws of a batch.

    A row depends on the generator and on the number of images before it in the batch, on nothing else.

    Args:
        count: Images of the batch.
        generator: A CPU generator; None for PyTorch's global one.
        device: Where the numbers are wanted.
    """

    def __init__(self, count: int, generator: torch.Generator | None, device: torch.device) -> None:
        names = (*_VALUES, *_SHARES, *_SEEDS)
        self._column = {name: column for column, name in enumerate(names)}
        # One call, so that a row does not depend on how many rows follow.
        self._host = torch.rand(count, len(names) + 2 * POINTS * POINTS, generator=generator)
        self._table = self._host.to(device)

    def share(self, name: str) -> Tensor:
        """Return the draws (B,) of a value, in [0, 1)."""
        return self._table[:, self._column[name]]

    def either_way(self, name: str) -> Tensor:
        """Return the draws (B,) of a value, in [-1, 1)."""
        return self.share(name) * 2 - 1

    def warp(self) -> Tensor:
        """Return the draws (B, 2, POINTS, POINTS) of control points along x and y, in [-1, 1)."""
        return self._table[:, len(self._column) :].reshape(-1, 2, POINTS, POINTS) * 2 - 1

    def chosen(self, name: str, augmentation: Augmentation) -> list[int]:
        """List the images that get a change, by the share of that name, without asking the device."""
        happens = self._host[:, self._column[name]] < getattr(augmentation, name)
        return [int(index) for index in happens.nonzero()]

    def number(self, name: str, index: int) -> float:
        """Return the draw of one image, in [0, 1)."""
        return self._host[index, self._column[name]].item()

    def seed(self, name: str, index: int) -> int:
        """Return a seed of one image."""
        return int(self.number(name, index) * 2**24)  # as many values as float32 has below 1
