"""Correlation of pictures after one was laid over the other: shifted, scaled, sheared or turned a little.

The affine map is found by Gauss-Newton steps on the squared difference (Lucas and Kanade 1981), from coarse
to fine, for many pairs of pictures at once.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from dermseg.data.duplicates.fingerprint import SIDE, FloatArray, window

GRID = 32
"""Points along each axis at which pictures are compared."""

_BLURS = (3.0, 1.0, 0.0)
"""Standard deviations, in pixels of the thumbnail, from coarse to fine."""
_STEPS = 6
"""Gauss-Newton steps at each blur."""
_LEAST_OVERLAP = 0.6
"""Share of the compared points that must lie inside both pictures."""
_LARGEST_CHANGE = 0.35
"""Largest change of an axis of the frame, as a share of it; a map beyond it has lost its way."""


class _Samples(NamedTuple):
    """Values at the points of the grid, and their slopes along x and y, each (N, GRID * GRID)."""

    values: FloatArray
    along_x: FloatArray
    along_y: FloatArray
    inside: FloatArray
    """1 where the point lies in the picture, else 0."""


def aligned_correlation(moving: FloatArray, fixed: FloatArray) -> FloatArray:
    """Correlate pictures pair by pair after alignment.

    Args:
        moving: Textures (N, 64, 64) that are laid over the others.
        fixed: Textures (N, GRID, GRID) at the points of the grid (`on_grid`), or their signs.

    Returns:
        (N,): correlation, weighted towards the middle of the frame; 0 where no plausible map was found. Of
        signs, that of the textures they are taken of is estimated.
    """
    weights = window(GRID).reshape(1, -1)
    binary = bool(np.all(np.abs(fixed) == 1))
    maps = np.tile(np.array([[1, 0, 0], [0, 1, 0]], np.float32), (len(moving), 1, 1))
    for blur in _BLURS:
        smooth = _blurred(moving, blur)
        target = _blurred(fixed, blur * GRID / SIDE).reshape(len(fixed), -1)
        for _ in range(_STEPS):
            maps = _improved(smooth, target, maps, weights)
    samples = _sampled(moving, maps)
    values = np.sign(samples.values) if binary else samples.values
    found = correlation(values, fixed.reshape(len(fixed), -1), weights * samples.inside)
    if binary:
        # Of two Gaussian signals; the sine undoes what taking signs does to their correlation.
        found = np.sin(np.pi / 2 * found)
    plausible = samples.inside.mean(axis=1) >= _LEAST_OVERLAP
    plausible &= np.abs(maps - np.eye(2, 3)).max(axis=(1, 2)) <= _LARGEST_CHANGE
    return np.where(plausible, found, 0).astype(np.float32)


def on_grid(pictures: FloatArray) -> FloatArray:
    """Sample textures (N, 64, 64) at the points of the grid: (N, GRID, GRID)."""
    identity = np.tile(np.array([[1, 0, 0], [0, 1, 0]], np.float32), (len(pictures), 1, 1))
    return _sampled(pictures, identity).values.reshape(-1, GRID, GRID)


def correlation(first: FloatArray, second: FloatArray, weights: FloatArray) -> FloatArray:
    """Correlate (N, P) with (N, P), weighted by (N, P) or (1, P): (N,), 0 where one has no variance."""
    total = weights.sum(axis=1, keepdims=True)
    total = np.broadcast_to(np.maximum(total, 1e-6), (len(first), 1))
    a = first - (weights * first).sum(axis=1, keepdims=True) / total
    b = second - (weights * second).sum(axis=1, keepdims=True) / total
    scale = np.sqrt((weights * a * a).sum(axis=1) * (weights * b * b).sum(axis=1))
    return np.asarray((weights * a * b).sum(axis=1) / np.maximum(scale, 1e-6), np.float32)


def _improved(moving: FloatArray, target: FloatArray, maps: FloatArray, weights: FloatArray) -> FloatArray:
    """Take one Gauss-Newton step of the maps (N, 2, 3)."""
    samples = _sampled(moving, maps)
    used = weights * samples.inside
    total = np.maximum(used.sum(axis=1, keepdims=True), 1e-6)

    def centred(values: FloatArray) -> tuple[FloatArray, FloatArray]:
        values = values - (used * values).sum(axis=1, keepdims=True) / total
        deviation = np.sqrt((used * values * values).sum(axis=1, keepdims=True) / total)
        return values, np.maximum(deviation, np.float32(1e-3))

    values, deviation = centred(samples.values)
    wanted, scale = centred(target)
    residual = wanted / scale - values / deviation
    x, y = _grid()
    slopes = [
        slope / deviation * place
        for slope in (samples.along_x, samples.along_y)
        for place in (x, y, np.float32(1))
    ]
    jacobian = np.stack(slopes, axis=1)
    weighted = jacobian * used[:, None]
    normal = weighted @ np.swapaxes(jacobian, 1, 2)
    # A little damping: a picture of stripes says nothing about movement along them.
    damping = 1e-3 * np.trace(normal, axis1=1, axis2=2)[:, None, None] + 1e-6
    step = np.linalg.solve(normal + damping * np.eye(6), weighted @ residual[:, :, None])
    return np.asarray(maps + np.clip(step, -0.1, 0.1).reshape(-1, 2, 3), np.float32)


def _grid() -> tuple[FloatArray, FloatArray]:
    """Places of the points, from -1 to 1 across the frame: x and y, each (GRID * GRID,)."""
    places = ((np.arange(GRID, dtype=np.float32) + 0.5) / GRID * 2 - 1).astype(np.float32)
    x, y = np.meshgrid(places, places)
    return x.ravel(), y.ravel()


def _sampled(pictures: FloatArray, maps: FloatArray) -> _Samples:
    """Sample pictures (N, 64, 64) bilinearly at the points of the grid, moved by affine maps (N, 2, 3)."""
    x, y = _grid()
    points = maps @ np.stack([x, y, np.ones_like(x)])
    inside = (np.abs(points) <= 1).all(axis=1).astype(np.float32)
    place = np.clip((points + 1) * (SIDE / 2) - 0.5, 0, SIDE - 1.001)
    corner = place.astype(np.intp)
    part = (place - corner).astype(np.float32)
    fx, fy = part[:, 0], part[:, 1]
    flat = pictures.reshape(len(pictures), -1)
    index = corner[:, 1] * SIDE + corner[:, 0]
    a, b, c, d = (np.take_along_axis(flat, index + offset, axis=1) for offset in (0, 1, SIDE, SIDE + 1))
    top, bottom = a + fx * (b - a), c + fx * (d - c)
    # Slopes per half frame, in which the places of the grid are measured.
    along_x = ((b - a) * (1 - fy) + (d - c) * fy) * (SIDE / 2)
    along_y = (bottom - top) * (SIDE / 2)
    return _Samples(top + fy * (bottom - top), along_x, along_y, inside)


def _blurred(pictures: FloatArray, deviation: float) -> FloatArray:
    if not deviation:
        return pictures
    return np.asarray(gaussian_filter(pictures, (0.0, deviation, deviation)), np.float32)
