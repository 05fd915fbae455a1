"""Sampling and recolouring on a CPU: what `geometry.sample` and `light.recolour` do, compiled.

A pixel is read, computed and written once, as 8 bits; as operators of PyTorch, every step of the way is an
array of floats in memory. Pixels are taken in blocks, which stay in the nearest cache, so that what is not
looked up becomes vector instructions.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dermseg.data.augmentation.draws import POINTS
from dermseg.data.augmentation.geometry import MARGIN, spline
from dermseg.ops import numba_threads
from dermseg.ops.numba_math import compiled, inlined, pointer, stack

BANDS = 4
"""Parts of an image that are tasks of their own, so that threads share a small batch evenly."""
BLOCK = 64
"""Pixels of a row that are computed together."""
LEVELS = 4096
"""Steps of the table of a power; with 256, dark values would be off by several grey levels."""

_STEPS_OF_A_PIXEL = 20
# Literals would make the arithmetic 64 bits wide.
_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_MARGIN, _TOP = np.float32(MARGIN), np.float32(LEVELS - 1)

Array: TypeAlias = NDArray[Any]
# Of types that the compiler settles.
Number: TypeAlias = Any


def sample(images: Tensor, masks: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Sample images and masks as `geometry.sample` does; arguments and results are the same."""
    images, masks = images.contiguous(), masks.contiguous()
    rows, columns = (spline(side, points.device) for side in images.shape[2:])
    views, moved = torch.empty_like(images), torch.empty_like(masks)
    _run(_sample, images, masks, points, rows, columns.T, views, moved)
    return views, moved


def recolour(
    images: Tensor, matrices: Tensor, offsets: Tensor, rows: Tensor, columns: Tensor, powers: Tensor
) -> Tensor:
    """Recolour images as `light.recolour` does; arguments and result are the same, to one grey level."""
    table = torch.linspace(0, 1, LEVELS).pow(powers[:, None]).mul_(255).round_().to(torch.uint8)
    # To places in the table at once.
    scale = (LEVELS - 1) / 255
    result = torch.empty_like(images)
    _run(_recolour, images, matrices * scale, offsets * scale, rows, columns, table, result)
    return result


def _run(kernel: Callable[..., None], images: Tensor, *others: Tensor) -> None:
    """Run a kernel on every band of every image."""
    work = images.shape[2] * images.shape[3] * len(images) * _STEPS_OF_A_PIXEL
    arrays = (tensor.contiguous().numpy() for tensor in (images, *others))
    numba_threads.run(kernel, len(images) * BANDS, work, *arrays)


@compiled
def _sample(
    task: int,
    images: Array,
    masks: Array,
    points: Array,
    rows: Array,
    columns: Array,
    views: Array,
    moved: Array,
) -> None:
    image, band = task // BANDS, task % BANDS
    height, width, layers = images.shape[2], images.shape[3], masks.shape[1]
    area = height * width
    source, target = pointer(images), pointer(views)
    mask_source, mask_target = pointer(masks), pointer(moved)
    weights = pointer(columns)
    # Of the row at hand: its control points.
    along_x, along_y = stack(POINTS, points.dtype), stack(POINTS, points.dtype)
    # Of the block at hand: the upper left of four neighbours, the nearest one, how far the others are.
    corner, nearest = stack(BLOCK, np.int32), stack(BLOCK, np.int32)
    to_right, to_bottom = stack(BLOCK, points.dtype), stack(BLOCK, points.dtype)
    upper_left, upper_right = stack(BLOCK, images.dtype), stack(BLOCK, images.dtype)
    lower_left, lower_right = stack(BLOCK, images.dtype), stack(BLOCK, images.dtype)
    right, below = min(1, width - 1), width * min(1, height - 1)
    last_left, last_top = np.int32(max(0, width - 2)), np.int32(max(0, height - 2))
    for row in range(band * height // BANDS, (band + 1) * height // BANDS):
        for k in range(POINTS):
            along_x[k] = along_y[k] = _ZERO
            for j in range(POINTS):
                along_x[k] += rows[row, j] * points[image, 0, j, k]
                along_y[k] += rows[row, j] * points[image, 1, j, k]
        for start in range(0, width, BLOCK):
            count = min(BLOCK, width - start)
            for i in range(count):
                x = y = _ZERO
                for k in range(POINTS):
                    x += along_x[k] * weights[k * width + start + i]
                    y += along_y[k] * weights[k * width + start + i]
                x, y = _position(x, width), _position(y, height)
                left, top = min(np.int32(x), last_left), min(np.int32(y), last_top)
                to_right[i], to_bottom[i] = x - np.float32(left), y - np.float32(top)
                corner[i] = top * width + left
                nearest[i] = np.int32(y + _HALF) * width + np.int32(x + _HALF)
            for channel in range(3):
                plane = (3 * image + channel) * area
                for i in range(count):
                    first = plane + corner[i]
                    upper_left[i], upper_right[i] = source[first], source[first + right]
                    lower_left[i], lower_right[i] = source[first + below], source[first + below + right]
                to = plane + row * width + start
                for i in range(count):
                    upper = _between(upper_left[i], upper_right[i], to_right[i])
                    lower = _between(lower_left[i], lower_right[i], to_right[i])
                    target[to + i] = np.uint8(upper + to_bottom[i] * (lower - upper) + _HALF)
            for layer in range(layers):
                plane = (layers * image + layer) * area
                for i in range(count):
                    mask_target[plane + row * width + start + i] = mask_source[plane + nearest[i]]


@inlined
def _position(place: Number, side: int) -> Number:
    """Fold a place back into the frame and count it in pixels, from 0 in the middle of the first one."""
    size = abs(place)
    wave = _ONE - _MARGIN + abs(abs(max(size - _ONE, _ZERO) - _MARGIN - _MARGIN) - _MARGIN)
    folded = min(size, wave)
    signed = folded if place >= _ZERO else -folded
    position = (signed + _ONE) * (np.float32(side) * _HALF) - _HALF
    return min(max(position, _ZERO), np.float32(side - 1))


@inlined
def _between(first: Number, second: Number, share: Number) -> Number:
    start = np.float32(first)
    return start + share * (np.float32(second) - start)


@compiled
def _recolour(
    task: int,
    images: Array,
    matrices: Array,
    offsets: Array,
    rows: Array,
    columns: Array,
    table: Array,
    result: Array,
) -> None:
    image, band = task // BANDS, task % BANDS
    height, width = images.shape[2], images.shape[3]
    area = height * width
    source, target, levels, light = pointer(images), pointer(result), pointer(table), pointer(columns)
    level = stack(BLOCK, np.int32)
    for row in range(band * height // BANDS, (band + 1) * height // BANDS):
        light_of_row = rows[image, row]
        for start in range(0, width, BLOCK):
            count = min(BLOCK, width - start)
            red = 3 * image * area + row * width + start
            green, blue = red + area, red + 2 * area
            for channel in range(3):
                of_red, of_green = matrices[image, channel, 0], matrices[image, channel, 1]
                of_blue, offset = matrices[image, channel, 2], offsets[image, channel]
                for i in range(count):
                    linear = of_red * np.float32(source[red + i]) + of_green * np.float32(source[green + i])
                    linear += of_blue * np.float32(source[blue + i]) + offset
                    lit = linear * (light_of_row + light[image * width + start + i])
                    level[i] = np.int32(min(max(lit, _ZERO), _TOP) + _HALF)
                for i in range(count):
                    target[red + channel * area + i] = levels[image * LEVELS + level[i]]
