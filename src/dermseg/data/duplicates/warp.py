"""Pictures moved by affine maps, and in their eight orientations."""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dermseg.data.duplicates.fingerprint import FloatArray


class Samples(NamedTuple):
    """Values of moved pictures at each of their pixels, and their slopes, each (N, S * S)."""

    values: FloatArray
    along_x: FloatArray
    """Change over half a frame."""
    along_y: FloatArray
    inside: FloatArray
    """1 where the picture has a value, else 0."""


def orientations(pictures: FloatArray) -> Iterator[FloatArray]:
    """Give pictures (..., S, S) in their eight orientations: transposed or not, mirrored along each axis."""
    for turned in (pictures, np.swapaxes(pictures, -1, -2)):
        for upright in (turned, turned[..., ::-1, :]):
            yield upright
            yield upright[..., ::-1]


def oriented(pictures: FloatArray, numbers: NDArray[np.intp]) -> FloatArray:
    """Turn each picture (N, S, S) into its own orientation, by its number in `orientations`."""
    result = np.empty_like(pictures)
    for number, turned in enumerate(orientations(pictures)):
        chosen = numbers == number
        result[chosen] = turned[chosen]
    return result


def in_orientation(maps: FloatArray, numbers: NDArray[np.intp]) -> FloatArray:
    """Give affine maps (N, 2, 3) of pictures as the maps of the same pictures in their orientations."""
    swap = np.array([[0, 1], [1, 0]], np.float32)
    turns = np.array(
        [
            turn @ np.diag([horizontal, vertical])
            for turn in (np.eye(2), swap)
            for vertical in (1, -1)
            for horizontal in (1, -1)
        ],
        np.float32,
    )[numbers]
    # A turn is orthogonal: its transpose undoes it.
    back = np.swapaxes(turns, 1, 2)
    return np.concatenate([back @ maps[:, :, :2] @ turns, back @ maps[:, :, 2:]], axis=2)


@cache
def places(side: int) -> tuple[FloatArray, FloatArray]:
    """Places of pixels, from -1 to 1 across the frame: x and y, each (side * side,)."""
    along = ((np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1).astype(np.float32)
    x, y = np.meshgrid(along, along)
    return x.ravel(), y.ravel()


def sampled(pictures: FloatArray, maps: FloatArray) -> Samples:
    """Sample pictures (N, S, S) bilinearly at their pixels, moved by affine maps (N, 2, 3) or (1, 2, 3)."""
    side = pictures.shape[-1]
    x, y = places(side)
    points = maps @ np.stack([x, y, np.ones_like(x)])
    inside = (np.abs(points) <= 1).all(axis=1).astype(np.float32)
    place = np.clip((points + 1) * np.float32(side / 2) - np.float32(0.5), 0, np.float32(side - 1.001))
    corner = place.astype(np.intp)
    part = place - corner.astype(np.float32)
    fx, fy = part[:, 0], part[:, 1]
    index = corner[:, 1] * side + corner[:, 0]
    flat = pictures.reshape(len(pictures), -1)
    index = np.broadcast_to(index, flat.shape)
    a, b, c, d = (np.take_along_axis(flat, index + offset, axis=1) for offset in (0, 1, side, side + 1))
    top, bottom = a + fx * (b - a), c + fx * (d - c)
    half = np.float32(side / 2)
    return Samples(
        values=top + fy * (bottom - top),
        along_x=((b - a) * (1 - fy) + (d - c) * fy) * half,
        along_y=(bottom - top) * half,
        inside=np.broadcast_to(inside, flat.shape),
    )
