"""Correlation of pictures after one was laid over the other: shifted, scaled, sheared or turned a little.

The affine map is found by Gauss-Newton steps on the squared difference (Lucas and Kanade 1981), from coarse
to fine, for many pairs of pictures at once.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermseg.data.duplicates.fingerprint import DETAIL, FloatArray, pooled, textures, window
from dermseg.data.duplicates.warp import oriented, places, sampled

GRID = 32
"""Side, in pixels, of the pictures that are compared."""

_COARSE_GRID = 16
_COARSE_STEPS, _STEPS = 12, 8
"""Gauss-Newton steps at each of the two sizes."""
_PROMISING = 0.4
"""Correlation at the coarse size from which a pair is worth the fine one."""
_SPREAD = 0.55
"""Median correlation of tiles below which what correlates is in a few places only."""
_LEAST_OVERLAP = 0.6
"""Share of one picture that must lie inside the other."""
_LARGEST_CHANGE = 0.35
"""Largest difference of a coefficient from the identity map, in half frames; beyond it, alignment failed."""

_IDENTITY = np.eye(2, 3, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Views:
    """What is compared of pictures: textures (N, GRID, GRID) of both bands, or their signs."""

    shape: FloatArray
    detail: FloatArray

    @classmethod
    def of(cls, thumbnails: NDArray[np.uint8], pictures: FloatArray) -> "Views":
        """Make them of thumbnails (N, 64, 64) and their textures of `SHAPE`, which hashes are made of too."""
        return cls(pooled(pictures, GRID), pooled(textures(thumbnails, DETAIL), GRID))

    def rows(self, chosen: NDArray[np.intp]) -> "Views":
        """Give those of some pictures."""
        return Views(self.shape[chosen], self.detail[chosen])

    def oriented(self, numbers: NDArray[np.intp]) -> "Views":
        """Turn each picture into its own orientation."""
        return Views(oriented(self.shape, numbers), oriented(self.detail, numbers))


def likeness(moving: Views, fixed: Views, begin: FloatArray) -> FloatArray:
    """Correlate the detail of pictures pair by pair, after aligning their shapes.

    Args:
        moving: Pictures that are laid over the others.
        fixed: The others.
        begin: Affine maps (N, 2, 3) near which the alignment is looked for.

    Returns:
        (N,): correlation, weighted towards the middle of the frame; 0 where no plausible alignment was found,
        or where what correlates is in a few places only, such as a ruler.
    """
    result = np.zeros(len(moving.shape), np.float32)
    coarse_moving, coarse_fixed = pooled(moving.shape, _COARSE_GRID), pooled(fixed.shape, _COARSE_GRID)
    maps = _refined(coarse_moving, coarse_fixed, begin, _COARSE_STEPS)
    overall, _ = _correlations(coarse_moving, coarse_fixed, maps)
    going = np.flatnonzero(overall >= _PROMISING)
    if len(going):
        maps = _refined(moving.shape[going], fixed.shape[going], maps[going], _STEPS)
        overall, spread = _correlations(moving.detail[going], fixed.detail[going], maps)
        result[going] = np.where(spread >= _SPREAD, overall, 0)
    return result


def _correlations(moving: FloatArray, fixed: FloatArray, maps: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Correlate moved pictures with others, as a whole and in the median of 16 tiles.

    Of signs, the correlation of the textures they are taken of is estimated. Both are 0 under a map that is
    not plausible.
    """
    samples = sampled(moving, maps)
    values, target = samples.values, fixed.reshape(len(fixed), -1)
    binary = bool(np.all(np.abs(fixed) == 1))
    if binary:
        values = np.sign(values)
    weights = window(moving.shape[-1]).reshape(1, -1) * samples.inside
    overall = _correlation(values, target, weights)
    spread = np.median(_correlation(_tiles(values), _tiles(target), _tiles(samples.inside)), axis=-1)
    plausible = samples.inside.mean(axis=1) >= _LEAST_OVERLAP
    plausible &= np.abs(maps - _IDENTITY).max(axis=(1, 2)) <= _LARGEST_CHANGE
    found = np.stack([overall, spread]) * plausible
    if binary:
        # Taking signs makes the correlation r of two Gaussian signals 2/pi arcsin(r).
        found = np.sin(np.float32(np.pi / 2) * found)
    return found[0], found[1]


def _tiles(pictures: FloatArray) -> FloatArray:
    """Cut pictures (N, S * S) into 4 x 4 tiles: (N, 16, pixels of a tile)."""
    side = math.isqrt(pictures.shape[1]) // 4
    cut = pictures.reshape(-1, 4, side, 4, side).swapaxes(2, 3)
    return cut.reshape(-1, 16, side * side)


def _correlation(first: FloatArray, second: FloatArray, weights: FloatArray) -> FloatArray:
    """Correlate (..., P) with (..., P), weighted by (..., P): (...), 0 where one has no variance."""
    a, b = _centred(first, weights), _centred(second, weights)
    scale = np.sqrt((weights * a * a).sum(axis=-1) * (weights * b * b).sum(axis=-1))
    return np.asarray((weights * a * b).sum(axis=-1) / np.maximum(scale, np.float32(1e-6)), np.float32)


def _centred(values: FloatArray, weights: FloatArray) -> FloatArray:
    total = np.maximum(weights.sum(axis=-1, keepdims=True), np.float32(1e-6))
    return np.asarray(values - (weights * values).sum(axis=-1, keepdims=True) / total, np.float32)


def _refined(moving: FloatArray, fixed: FloatArray, maps: FloatArray, steps: int) -> FloatArray:
    """Improve maps (N, 2, 3) of pictures (N, S, S) by Gauss-Newton steps."""
    side = moving.shape[-1]
    target = fixed.reshape(len(fixed), -1)
    weights = window(side).reshape(1, -1)
    x, y = places(side)
    for _ in range(steps):
        samples = sampled(moving, maps)
        used = weights * samples.inside
        values, deviation = _standard(samples.values, used)
        wanted, _ = _standard(target, used)
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
        step = np.linalg.solve(normal + damping * np.eye(6), weighted @ (wanted - values)[:, :, None])
        maps = np.asarray(maps + np.clip(step, -0.1, 0.1).reshape(-1, 2, 3), np.float32)
    return maps


def _standard(values: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Bring values (N, P) to mean 0 and deviation 1 under weights; give the deviations (N, 1) too."""
    values = _centred(values, weights)
    total = np.maximum(weights.sum(axis=1, keepdims=True), np.float32(1e-6))
    deviation = np.sqrt((weights * values * values).sum(axis=1, keepdims=True) / total)
    deviation = np.maximum(deviation, np.float32(1e-3))
    return values / deviation, deviation
