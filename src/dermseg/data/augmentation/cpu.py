"""Sampling and recolouring on a CPU: what `geometry.sample` and `light.recolour` do, compiled.

A pixel is read, computed and written once, as 8 bits; as operators of PyTorch, every step of the way is an
array of floats in memory.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dermseg.data.augmentation.geometry import MARGIN
from dermseg.ops import numba_threads
from dermseg.ops.numba_math import compiled, inlined

BANDS = 4
"""Parts of an image that are tasks of their own, so that threads share a small batch evenly."""
LEVELS = 4096
"""Steps of the table of a power; with 256, dark values would be off by several grey levels."""

_STEPS_OF_A_PIXEL = 20
# Literals would make the arithmetic 64 bits wide.
_HALF, _ONE = np.float32(0.5), np.float32(1)
_MARGIN, _TOP = np.float32(MARGIN), np.float32(LEVELS - 1)

Array: TypeAlias = NDArray[Any]
# Of types that the compiler settles.
Number: TypeAlias = Any


def sample(images: Tensor, masks: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """Sample images and masks as `geometry.sample` does; arguments and results are the same."""
    images, masks = images.contiguous(), masks.contiguous()
    views, moved = torch.empty_like(images), torch.empty_like(masks)
    _run(_sample, images, masks, at.contiguous(), views, moved)
    return views, moved


def recolour(images: Tensor, matrices: Tensor, offsets: Tensor, field: Tensor, powers: Tensor) -> Tensor:
    """Recolour images as `light.recolour` does; arguments and result are the same, to one grey level."""
    table = torch.linspace(0, 1, LEVELS).pow(powers[:, None]).mul_(255).round_().to(torch.uint8)
    # To places in the table at once.
    scale = (LEVELS - 1) / 255
    result = torch.empty_like(images)
    _run(_recolour, images, matrices * scale, offsets * scale, field, table, result)
    return result


def _run(kernel: Callable[..., None], images: Tensor, *others: Tensor) -> None:
    """Run a kernel on every band of every image."""
    work = images.shape[2] * images.shape[3] * len(images) * _STEPS_OF_A_PIXEL
    numba_threads.run(
        kernel, len(images) * BANDS, work, *(tensor.contiguous().numpy() for tensor in (images, *others))
    )


@compiled
def _sample(task: int, images: Array, masks: Array, at: Array, views: Array, moved: Array) -> None:
    image, band = task // BANDS, task % BANDS
    height, width = images.shape[2], images.shape[3]
    for row in range(band * height // BANDS, (band + 1) * height // BANDS):
        for column in range(width):
            x = _pixel(at[image, 0, row, column], width)
            y = _pixel(at[image, 1, row, column], height)
            left, top = int(x), int(y)
            right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
            to_right, to_bottom = x - np.float32(left), y - np.float32(top)
            for channel in range(3):
                upper = images[image, channel, top]
                lower = images[image, channel, bottom]
                above = _between(upper[left], upper[right], to_right)
                below = _between(lower[left], lower[right], to_right)
                views[image, channel, row, column] = np.uint8(above + to_bottom * (below - above) + _HALF)
            nearest_row, nearest_column = int(y + _HALF), int(x + _HALF)
            for layer in range(masks.shape[1]):
                moved[image, layer, row, column] = masks[image, layer, nearest_row, nearest_column]


@inlined
def _pixel(place: Number, side: int) -> Number:
    """Fold a place back into the frame and count it in pixels, from 0 in the middle of the first one."""
    size = abs(place)
    beyond = max(size - _ONE, np.float32(0))
    wave = _ONE - _MARGIN + abs(abs(beyond - 2 * _MARGIN) - _MARGIN)
    folded = min(size, wave)
    signed = folded if place >= 0 else -folded
    pixel = (signed + _ONE) * np.float32(side) * _HALF - _HALF
    return min(max(pixel, np.float32(0)), np.float32(side - 1))


@inlined
def _between(first: Number, second: Number, share: Number) -> Number:
    start = np.float32(first)
    return start + share * (np.float32(second) - start)


@compiled
def _recolour(
    task: int, images: Array, matrices: Array, offsets: Array, field: Array, table: Array, result: Array
) -> None:
    image, band = task // BANDS, task % BANDS
    height, width = images.shape[2], images.shape[3]
    for channel in range(3):
        of_red, of_green, of_blue = (
            matrices[image, channel, 0],
            matrices[image, channel, 1],
            matrices[image, channel, 2],
        )
        offset = offsets[image, channel]
        for row in range(band * height // BANDS, (band + 1) * height // BANDS):
            for column in range(width):
                linear = (
                    offset
                    + of_red * np.float32(images[image, 0, row, column])
                    + of_green * np.float32(images[image, 1, row, column])
                    + of_blue * np.float32(images[image, 2, row, column])
                )
                lit = linear * field[image, row, column]
                level = int(min(max(lit, np.float32(0)), _TOP) + _HALF)
                result[image, channel, row, column] = table[image, level]
