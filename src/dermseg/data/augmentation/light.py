"""The light on a view and the camera's rendering of it: a matrix, a field and a curve for every image."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dermseg.data.augmentation.draws import Draws, FloatArray, ImageDraws
from dermseg.data.augmentation.geometry import middles
from dermseg.data.augmentation.settings import Augmentation

GREY = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in the grey of a colour."""
_SAMPLES = 64
"""Rows and columns of pixels that the mean grey of an image is taken from, about."""
_LARGEST_RADIUS = 0.72
_LARGEST_STRETCH = 1.3
"""Of the opening's width against its height."""
_WIDEST_EDGE = 0.12
"""Of the opening, as a share of the side; contact plates leave a sharp one, lenses a wide one."""
_LIGHTEST_CORNER = 0.35
"""Share of the light that comes beyond the opening."""


class Light(NamedTuple):
    """What happens to the colours of a batch.

    The colour c of the pixel in row y and column x becomes
    ((matrix @ c + pull * g) * (rows[y] + columns[x])) ** power, where g is the mean grey of the image; the
    power is of values as shares of the full range.
    """

    matrices: FloatArray
    """(B, 3, 3)"""
    pulls: FloatArray
    """(B, 3)"""
    rows: FloatArray
    """(B, H)"""
    columns: FloatArray
    """(B, W)"""
    powers: FloatArray
    """(B,)"""


def draw_light(draws: Draws, augmentation: Augmentation, height: int, width: int) -> Light:
    """Draw brightness, contrast, saturation, hue, white balance, gradient, vignette and gamma."""
    powers = (1 + augmentation.gamma) ** draws.either_way("gamma")
    return Light(*_rendering(draws, augmentation), *_gains(draws, augmentation, height, width), powers)


def _rendering(draws: Draws, augmentation: Augmentation) -> tuple[FloatArray, FloatArray]:
    """Draw matrices (B, 3, 3) and pulls (B, 3).

    Saturation scales, and hue turns, the part of a colour that is not grey; contrast and brightness scale
    all of it, contrast about the mean grey.
    """
    names = ("brightness", "contrast", "saturation")
    brightness, contrast, saturation = (
        (1 + getattr(augmentation, name) * draws.either_way(name))[:, None, None] for name in names
    )
    turns = _turn(draws.either_way("hue") * (math.tau * augmentation.hue))
    grey = np.full((3, 3), GREY, np.float32)
    matrices = brightness * contrast * (grey + saturation * (turns @ (np.eye(3, dtype=np.float32) - grey)))
    red, blue = (1 + augmentation.white_balance * draws.either_way(name) for name in ("red", "blue"))
    balance = np.stack([red, np.ones_like(red), blue], axis=1)[:, :, None]
    pulls = balance * brightness * (1 - contrast)
    return balance * matrices, pulls[:, :, 0]


def _gains(
    draws: Draws, augmentation: Augmentation, height: int, width: int
) -> tuple[FloatArray, FloatArray]:
    """Draw how much light falls on rows (B, H) and columns (B, W): a gradient, and a vignette."""
    dimmed = draws.share("vignette") < augmentation.vignette
    loss = np.where(dimmed, augmentation.vignette_loss * draws.share("vignette_loss"), np.float32(0))
    slopes = (augmentation.gradient * draws.either_way(f"gradient_{axis}") for axis in "yx")
    rows, columns = (_gain(slope, loss, side) for slope, side in zip(slopes, (height, width), strict=True))
    return rows, columns


def _gain(slope: FloatArray, loss: FloatArray, side: int) -> FloatArray:
    at = middles(side)
    gain: FloatArray = 0.5 + slope[:, None] * at - 0.5 * loss[:, None] * np.square(at)
    return gain


def step_of_mean(height: int, width: int) -> int:
    """Return the stride of the rows and columns that the mean grey of an image is taken from."""
    return max(1, min(height, width) // _SAMPLES)


@dataclass(frozen=True)
class Opening:
    """A round opening that an image is seen through; an ellipse where frames were squashed.

    A place (x, y), from -1 to 1, is at the distance |((x - x0) * stretch, (y - y0) / stretch)| / 2.
    """

    x: float
    y: float
    stretch: float
    radius: float
    """Where the edge ends."""
    softness: float
    """Width of the edge, beyond the radius."""
    rest: float
    """Share of the light that comes beyond it."""


def draw_opening(draws: ImageDraws, augmentation: Augmentation) -> Opening:
    """Draw the opening of one image."""
    drawn, smallest = draws.numbers, augmentation.corner_radius
    return Opening(
        x=0.2 * (drawn["corner_x"] - 0.5),
        y=0.2 * (drawn["corner_y"] - 0.5),
        stretch=_LARGEST_STRETCH ** (drawn["corner_aspect"] - 0.5),
        radius=smallest + (_LARGEST_RADIUS - smallest) * drawn["corner_radius"],
        softness=0.005 + _WIDEST_EDGE * drawn["corner_softness"] ** 2,
        rest=_LIGHTEST_CORNER * drawn["corner_light"] ** 2,
    )


def _turn(angle: FloatArray) -> FloatArray:
    """Rotations (B, 3, 3) of RGB about the grey axis (Rodrigues' formula)."""
    cross = math.sqrt(1 / 3) * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], np.float32)
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    turns: FloatArray = cos * np.eye(3, dtype=np.float32) + sin * cross + (1 - cos) / 3
    return turns
