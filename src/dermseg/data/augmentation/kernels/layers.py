"""What is laid over one image, added to it, or smeared across it."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dermseg.ops.numba_math import compiled, inlined, pointer, stack

_BLOCK = 64
"""Pixels of a row that are computed together."""
# Literals would make the arithmetic 64 bits wide.
_ZERO, _HALF, _TOP = np.float32(0), np.float32(0.5), np.float32(255)
_SHARE = np.float32(1 / 255)

Array: TypeAlias = NDArray[Any]
# Of types that the compiler settles.
Number: TypeAlias = Any


@compiled
def lay(image: Array, opacity: Array, colour: Array) -> None:
    """Lay one colour, uint8 (3,), over an image uint8 (3, H, W) by its opacity uint8 (H, W), in place."""
    area = opacity.size
    target, cover = pointer(image), pointer(opacity)
    for channel in range(3):
        paint, first = np.float32(colour[channel]), channel * area
        for i in range(area):
            value = np.float32(target[first + i])
            share = np.float32(cover[i]) * _SHARE
            target[first + i] = np.uint8(value + share * (paint - value) + _HALF)


@compiled
def add(image: Array, values: Array, scale: Number) -> None:
    """Add scaled values, float32 (3, H, W) or (1, H, W), to an image uint8 (3, H, W), in place."""
    area = image.shape[1] * image.shape[2]
    target, added, scale = pointer(image), pointer(values), np.float32(scale)
    for channel in range(3):
        first, other = channel * area, channel * area if len(values) == 3 else 0
        for i in range(area):
            value = np.float32(target[first + i]) + scale * added[other + i]
            target[first + i] = np.uint8(min(max(value, _ZERO), _TOP) + _HALF)


@compiled
def blur(image: Array, down: Array, across: Array, plane: Array, line: Array) -> None:
    """Convolve an image uint8 (3, H, W), mirrored at its edges, along both axes, in place.

    Args:
        image: The image.
        down: Weights along y, float32 (2 m + 1,) with m < H.
        across: Weights along x, float32 (2 n + 1,) with n < W.
        plane: Room for a channel, uint8 (H, W).
        line: Room for a row and what is mirrored beside it, float32 (W + 2 n,).
    """
    height, width = image.shape[1:]
    above, beside = len(down) // 2, len(across) // 2
    source, target, values = pointer(plane), pointer(image), pointer(line)
    total = stack(_BLOCK, np.float32)
    for channel in range(3):
        plane[:] = image[channel]
        for row in range(height):
            for x in range(width):
                values[beside + x] = _ZERO
            for k in range(len(down)):
                weight, first = down[k], _mirrored(row + k - above, height) * width
                for x in range(width):
                    values[beside + x] += weight * np.float32(source[first + x])
            for k in range(1, beside + 1):
                values[beside - k] = values[beside + k]
                values[beside + width - 1 + k] = values[beside + width - 1 - k]
            for start in range(0, width, _BLOCK):
                count = min(_BLOCK, width - start)
                for i in range(count):
                    total[i] = _HALF
                for k in range(len(across)):
                    weight = across[k]
                    for i in range(count):
                        total[i] += weight * values[start + i + k]
                first = (channel * height + row) * width + start
                for i in range(count):
                    target[first + i] = np.uint8(min(max(total[i], _ZERO), _TOP))


@inlined
def _mirrored(place: int, side: int) -> int:
    inside = abs(place)
    return inside if inside < side else 2 * (side - 1) - inside
