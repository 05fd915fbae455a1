"""Images and masks sampled through a surface of control points."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dermseg.data.augmentation.draws import POINTS
from dermseg.data.augmentation.geometry import MARGIN
from dermseg.ops.numba_math import compiled, inlined, pointer, stack

_BLOCK = 64
"""Pixels of a row that are computed together."""
# Literals would make the arithmetic 64 bits wide.
_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_MARGIN = np.float32(MARGIN)

Array: TypeAlias = NDArray[Any]
# Of types that the compiler settles.
Number: TypeAlias = Any


@compiled
def sample(
    images: Array, masks: Array, points: Array, rows: Array, columns: Array, views: Array, moved: Array
) -> None:
    """Write views (B, 3, H, W) and moved masks.

    Args:
        images: uint8 (B, 3, H, W).
        masks: uint8 (B, layers, H, W).
        points: float32 (B, 2, POINTS, POINTS).
        rows: Weights (H, POINTS) of the control points.
        columns: Weights (POINTS, W).
        views: As images.
        moved: As masks.
    """
    height, width, layers = images.shape[2], images.shape[3], masks.shape[1]
    area = height * width
    source, target = pointer(images), pointer(views)
    mask_source, mask_target = pointer(masks), pointer(moved)
    weights = pointer(columns)
    # Of the row at hand: its control points.
    along_x, along_y = stack(POINTS, points.dtype), stack(POINTS, points.dtype)
    # Of the block at hand: the upper left of four neighbours, the nearest one, how far the others are.
    corner, nearest = stack(_BLOCK, np.int32), stack(_BLOCK, np.int32)
    to_right, to_bottom = stack(_BLOCK, points.dtype), stack(_BLOCK, points.dtype)
    upper_left, upper_right = stack(_BLOCK, images.dtype), stack(_BLOCK, images.dtype)
    lower_left, lower_right = stack(_BLOCK, images.dtype), stack(_BLOCK, images.dtype)
    right, below = min(1, width - 1), width * min(1, height - 1)
    last_left, last_top = np.int32(max(0, width - 2)), np.int32(max(0, height - 2))
    for image in range(len(images)):
        for row in range(height):
            for k in range(POINTS):
                along_x[k] = along_y[k] = _ZERO
                for j in range(POINTS):
                    along_x[k] += rows[row, j] * points[image, 0, j, k]
                    along_y[k] += rows[row, j] * points[image, 1, j, k]
            for start in range(0, width, _BLOCK):
                count = min(_BLOCK, width - start)
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
