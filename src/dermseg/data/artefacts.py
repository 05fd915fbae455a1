"""What dermoscopic images show besides skin: hair, rulers, ink, air bubbles in the gel, a vignette.

`draw_...` gives the artefact alone, to be laid over any image of its size. `add_...` takes a float image
(side, side, 3) with values in [0, 1] and a generator, and gives a new image. Lengths are shares of the side,
so a picture looks the same at any size.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

FloatArray = NDArray[np.float32]

_SUPERSAMPLING = 2
_INK = (0.12, 0.10, 0.10)
_PENS = ((0.29, 0.20, 0.45), (0.16, 0.25, 0.52), (0.12, 0.12, 0.16))
"""Colours of surgical markers: violet, blue, black."""


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """A drawing of one colour."""

    opacity: FloatArray
    """How much of each pixel it covers, (side, side), in [0, 1]."""
    colour: FloatArray
    """Red, green and blue, in [0, 1]."""

    def on(self, image: FloatArray) -> FloatArray:
        """Lay the drawing over an image (side, side, 3)."""
        return image + self.opacity[..., None] * (self.colour - image)


def add_hair(image: FloatArray, generator: np.random.Generator, count: int) -> FloatArray:
    """Lay `count` hairs over the image: curved, of one colour, most of them in one direction."""
    return draw_hair(len(image), generator, count).on(image)


def draw_hair(side: int, generator: np.random.Generator, count: int) -> Overlay:
    """Draw `count` hairs, as `add_hair` lays them over an image of this side in pixels."""
    layer = _Layer(side)
    direction = generator.uniform(0, 2 * np.pi)
    thickness = generator.uniform(0.003, 0.007)
    for _ in range(count):
        angle = direction + generator.normal(0, 0.5)
        along = np.array([np.cos(angle), np.sin(angle)])
        middle = generator.uniform(-0.1, 1.1, 2)
        length = generator.uniform(0.3, 1.3)
        bend = generator.normal(0, 0.12, 2)
        ends = middle - along * length / 2, middle + along * length / 2
        layer.curve(ends[0], middle + bend, ends[1], thickness * generator.uniform(0.6, 1.3))
    light = generator.random() < 0.15
    colour = generator.uniform(0.55, 0.8) if light else generator.uniform(0.04, 0.22)
    opacity = generator.uniform(0.4, 0.6) if light else generator.uniform(0.6, 0.95)
    return Overlay(layer.coverage() * opacity, _colour(colour * np.array([1.0, 0.85, 0.72])))


def add_ruler(image: FloatArray, generator: np.random.Generator) -> FloatArray:
    """Lay a scale over the image: a line near one edge with a longer mark at every tenth."""
    return draw_ruler(len(image), generator).on(image)


def draw_ruler(side: int, generator: np.random.Generator) -> Overlay:
    """Draw a scale, as `add_ruler` lays it over an image of this side in pixels."""
    layer = _Layer(side)
    angle = generator.normal(0, 0.15) + generator.integers(4) * np.pi / 2
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    spacing = generator.uniform(0.012, 0.03)
    marks = int(generator.integers(21, 42))
    middle = 0.5 + across * generator.uniform(0.3, 0.42)
    start = middle - along * spacing * (marks - 1) / 2
    layer.line(start, start + along * spacing * (marks - 1), 0.004)
    for mark in range(marks):
        foot = start + along * spacing * mark
        length = 0.045 if mark % 10 == 0 else 0.032 if mark % 5 == 0 else 0.02
        layer.line(foot, foot - across * length, 0.004)
    return Overlay(layer.coverage() * generator.uniform(0.5, 0.9), _colour(np.array(_INK)))


def draw_ink(side: int, generator: np.random.Generator) -> Overlay:
    """Draw strokes of a skin marker, as surgeons put them around a lesion, at this side in pixels."""
    layer = _Layer(side)
    thickness = generator.uniform(0.008, 0.02)
    for _ in range(int(generator.integers(1, 6))):
        direction = generator.uniform(0, 2 * np.pi)
        outwards = np.array([np.cos(direction), np.sin(direction)])
        across = np.array([-outwards[1], outwards[0]])
        middle = 0.5 + outwards * generator.uniform(0.3, 0.55)
        half = across * generator.uniform(0.01, 0.15)
        bend = middle + outwards * generator.normal(0, 0.04)
        layer.curve(middle - half, bend, middle + half, thickness * generator.uniform(0.7, 1.2))
    pen = np.array(_PENS[int(generator.integers(len(_PENS)))])
    return Overlay(layer.coverage() * generator.uniform(0.5, 0.9), _colour(pen))


def add_bubbles(image: FloatArray, generator: np.random.Generator, count: int) -> FloatArray:
    """Put `count` air bubbles on the image: rims that are light towards one side and dark away from it."""
    result = image.copy()
    for rows, columns, light in _bubbles(len(image), generator, count):
        result[rows, columns] += light[..., None]
    return np.clip(result, 0, 1)


def draw_bubbles(side: int, generator: np.random.Generator, count: int) -> FloatArray:
    """Return the light (side, side), partly negative, that `add_bubbles` adds to an image."""
    total = np.zeros((side, side), np.float32)
    for rows, columns, light in _bubbles(side, generator, count):
        total[rows, columns] += light
    return total


def add_vignette(image: FloatArray, generator: np.random.Generator, hard: bool) -> FloatArray:
    """Darken the image towards its corners: gently, or (`hard`) to black beyond a round field of view."""
    places = (np.arange(len(image), dtype=np.float32) + 0.5) / len(image) - 0.5
    x, y = places - generator.normal(0, 0.03), places - generator.normal(0, 0.03)
    distance = np.hypot(x[None, :], y[:, None])
    light: NDArray[Any]
    if hard:
        light = 1 / (1 + np.exp((distance - generator.uniform(0.58, 0.68)) / 0.008))
    else:
        light = 1 - generator.uniform(0.3, 1.3) * np.clip(distance - 0.25, 0, None) ** 2 * 2.5
    shade: FloatArray = np.clip(light, 0, 1)[..., None].astype(np.float32)
    return image * shade


class _Layer:
    """A drawing of lines, smoothed by drawing it larger than the image."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.canvas = Image.new("L", (side * _SUPERSAMPLING, side * _SUPERSAMPLING))
        self.pen = ImageDraw.Draw(self.canvas)

    def line(self, start: NDArray[np.float64], end: NDArray[np.float64], thickness: float) -> None:
        self._polyline(np.stack([start, end]), thickness)

    def curve(
        self,
        start: NDArray[np.float64],
        bend: NDArray[np.float64],
        end: NDArray[np.float64],
        thickness: float,
    ) -> None:
        """Draw a quadratic Bezier curve."""
        t = np.linspace(0, 1, 24)[:, None]
        self._polyline((1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end, thickness)

    def coverage(self) -> FloatArray:
        """Give the share of each pixel that is covered, (side, side)."""
        return np.asarray(np.asarray(self.canvas.reduce(_SUPERSAMPLING)) / 255, np.float32)

    def _polyline(self, places: NDArray[np.float64], thickness: float) -> None:
        scale = self.side * _SUPERSAMPLING
        self.pen.line((places * scale).ravel().tolist(), fill=255, width=max(1, round(thickness * scale)))


def _bubbles(
    side: int, generator: np.random.Generator, count: int
) -> Iterator[tuple[slice, slice, FloatArray]]:
    """Draw bubbles one by one: rows and columns of a window, and the light added there."""
    direction = generator.uniform(0, 2 * np.pi)
    for _ in range(count):
        radius = generator.uniform(0.008, 0.035)
        x, y = generator.uniform(0, 1, 2)
        strength = generator.uniform(0.15, 0.4)
        rows, columns = (_window(place, 1.6 * radius, side) for place in (y, x))
        dy, dx = np.ogrid[rows, columns]
        dx, dy = (dx + 0.5) / side - x, (dy + 0.5) / side - y
        distance = np.hypot(dx, dy)
        rim = np.exp(-(((distance - radius) / (0.22 * radius)) ** 2))
        facing = (dx * np.cos(direction) + dy * np.sin(direction)) / (distance + 1e-6)
        yield rows, columns, (strength * rim * (0.3 + facing)).astype(np.float32)


def _colour(values: NDArray[np.float64]) -> FloatArray:
    colour: FloatArray = values.astype(np.float32)
    return colour


def _window(place: float, reach: float, side: int) -> slice:
    return slice(max(0, int((place - reach) * side)), min(side, int((place + reach) * side) + 2))
