"""Colours changed by a matrix, a field and a curve; images seen through an opening."""

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dermseg.data.augmentation.light import GREY
from dermseg.ops.numba_math import compiled, exp2, inlined, pointer, stack

_LEVELS = 4096
"""Steps of the table of a power; with 256, dark values would be off by several grey levels."""
_BLOCK = 64
"""Pixels of a row that are computed together."""
_VALUES = 3 * _BLOCK
# Literals would make the arithmetic 64 bits wide.
_ZERO, _HALF, _ONE, _WHITE = np.float32(0), np.float32(0.5), np.float32(1), np.float32(255)
_LAST = np.float32(_LEVELS - 1)
_RED, _GREEN, _BLUE = (np.float32(share) for share in GREY)
# As logarithms; that of 0 only has to be far below that of 1/255.
_LOGARITHMS = np.log2(np.maximum(np.linspace(0, 1, _LEVELS), 1e-30)).astype(np.float32)

Array: TypeAlias = NDArray[Any]
# Of types that the compiler settles.
Number: TypeAlias = Any


@compiled
def recolour(
    images: Array, matrices: Array, pulls: Array, rows: Array, columns: Array, powers: Array, step: int
) -> None:
    """Change the colours of images uint8 (B, 3, H, W), in place.

    Args:
        images: The images.
        matrices: Of `dermseg.data.augmentation.light.Light`, whose equation this is.
        pulls: Likewise.
        rows: Likewise.
        columns: Likewise.
        powers: Likewise.
        step: Stride of the rows and columns that the mean grey is taken from.
    """
    height, width = images.shape[2:]
    area = height * width
    values, light = pointer(images), pointer(columns)
    table = stack(_LEVELS, np.uint8)
    place = stack(_VALUES, np.int32)
    scale = _LAST / _WHITE
    for image in range(len(images)):
        for level in range(_LEVELS):
            table[level] = np.uint8(exp2(powers[image] * _LOGARITHMS[level]) * _WHITE + _HALF)
        grey = _mean_grey(images, image, step)
        for row in range(height):
            for start in range(0, width, _BLOCK):
                count = min(_BLOCK, width - start)
                red = 3 * image * area + row * width + start
                green, blue = red + area, red + 2 * area
                for channel in range(3):
                    of_red, of_green = (
                        scale * matrices[image, channel, 0],
                        scale * matrices[image, channel, 1],
                    )
                    of_blue, offset = (
                        scale * matrices[image, channel, 2],
                        scale * pulls[image, channel] * grey,
                    )
                    of_row = rows[image, row]
                    for i in range(count):
                        linear = of_red * np.float32(values[red + i]) + of_green * np.float32(
                            values[green + i]
                        )
                        linear += of_blue * np.float32(values[blue + i]) + offset
                        lit = linear * (of_row + light[image * width + start + i])
                        place[channel * _BLOCK + i] = np.int32(min(max(lit, _ZERO), _LAST) + _HALF)
                for channel in range(3):
                    for i in range(count):
                        values[red + channel * area + i] = table[place[channel * _BLOCK + i]]


@inlined
def _mean_grey(images: Array, image: int, step: int) -> Number:
    red = green = blue = count = 0
    for row in range(0, images.shape[2], step):
        for column in range(0, images.shape[3], step):
            red += images[image, 0, row, column]
            green += images[image, 1, row, column]
            blue += images[image, 2, row, column]
            count += 1
    total = _RED * np.float32(red) + _GREEN * np.float32(green) + _BLUE * np.float32(blue)
    return total / np.float32(count)


@compiled
def darken(
    image: Array, lesion: Array, down: Array, across: Array, radius: Number, softness: Number, rest: Number
) -> None:
    """Show an image uint8 (3, H, W) through an opening, in place.

    Args:
        image: The image.
        lesion: uint8 (H, W); where it is not 0, all light comes.
        down: Squares of the distance to the opening's middle along y, float32 (H,).
        across: Along x, float32 (W,).
        radius: Where the edge ends at least.
        softness: Width of the edge beyond it.
        rest: Share of the light beyond the edge.
    """
    radius, softness, rest = np.float32(radius), np.float32(softness), np.float32(rest)
    height, width = lesion.shape
    farthest = radius * radius
    for row in range(height):
        # Of a row of the lesion, the first or the last pixel is the farthest.
        first = 0
        while first < width and lesion[row, first] == 0:
            first += 1
        if first < width:
            last = width - 1
            while lesion[row, last] == 0:
                last -= 1
            farthest = max(farthest, down[row] + max(across[first], across[last]))
    edge = math.sqrt(farthest)
    area = height * width
    values, squares = pointer(image), pointer(across)
    light = stack(_BLOCK, np.float32)
    for row in range(height):
        for start in range(0, width, _BLOCK):
            count = min(_BLOCK, width - start)
            for i in range(count):
                beyond = (math.sqrt(down[row] + squares[start + i]) - edge) / softness
                light[i] = rest + (_ONE - rest) * min(max(_ONE - beyond, _ZERO), _ONE)
            for channel in range(3):
                at = channel * area + row * width + start
                for i in range(count):
                    values[at + i] = np.uint8(np.float32(values[at + i]) * light[i] + _HALF)
