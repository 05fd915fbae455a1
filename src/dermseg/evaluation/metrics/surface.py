"""Distances between the borders of two masks, and the scores made of them.

A border pixel is a lesion pixel with a skin pixel, or the end of the image, on at least one of its four
sides. Distances are Euclidean, in pixels, between the centres of border pixels. MONAI defines both so, and
its scores are equal to these (`benchmarks/metrics.py` compares them).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

NSD_TOLERANCE = 0.01
"""How far off the border still counts as right, as a share of the image's diagonal.

A share, since the native images of one data set differ tenfold in size, and with them the pixels that a hand
drawing the same border would be off.
"""
_DENSE = 0.2
"""Border pixels, as a share of all, from which distance maps are cheaper than trees (measured on noise)."""


@dataclass(frozen=True, slots=True)
class SurfaceScores:
    """How the borders of a predicted mask and its target compare.

    | masks | HD95 | ASSD | NSD |
    |---|---|---|---|
    | both empty | 0 | 0 | 1 |
    | one empty | diagonal of the image | diagonal of the image | 0 |

    No distance can be larger than the diagonal, so that predicting nothing never improves an average.
    """

    hd95: float
    """95th-percentile Hausdorff distance in pixels: of the distances from the prediction's border to the
    target's the 95th percentile (linear between ranks), the same the other way, and of the two the larger.
    Other tools pool both directions before taking the percentile."""
    assd: float
    """Average symmetric surface distance in pixels: the mean over all border pixels of both masks."""
    nsd: float
    """Normalised surface Dice: the share of all border pixels of both masks that lie within the tolerance of
    the other border. A border's length is its number of pixels (MONAI's definition, not DeepMind's)."""


def surface_scores(
    prediction: NDArray[np.bool_], target: NDArray[np.bool_], tolerance: float | None = None
) -> SurfaceScores:
    """Score the border of a predicted mask; the distances are measured once.

    Args:
        prediction: Predicted mask (height, width), bool.
        target: True mask of the same shape, bool.
        tolerance: Distance in pixels that NSD forgives; by default `NSD_TOLERANCE` of the diagonal.
    """
    diagonal = float(np.hypot(*target.shape))
    if not prediction.any() or not target.any():
        if prediction.any() == target.any():
            return SurfaceScores(hd95=0.0, assd=0.0, nsd=1.0)
        return SurfaceScores(hd95=diagonal, assd=diagonal, nsd=0.0)
    forth, back = border_distances(prediction, target)
    both = np.concatenate([forth, back])
    forgiven = NSD_TOLERANCE * diagonal if tolerance is None else tolerance
    return SurfaceScores(
        hd95=float(max(np.percentile(forth, 95), np.percentile(back, 95))),
        assd=float(both.mean()),
        nsd=float(np.count_nonzero(both <= forgiven) / both.size),
    )


def border_distances(
    prediction: NDArray[np.bool_], target: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure how far every border pixel of one mask is from the nearest of the other.

    Args:
        prediction: Predicted mask (height, width), bool, not empty.
        target: True mask of the same shape, bool, not empty.

    Returns:
        Distances in pixels from the prediction's border pixels, and from the target's, row by row.
    """
    box = _common(bounding_box(prediction), bounding_box(target))
    ours, theirs = border(prediction[box]), border(target[box])
    if np.count_nonzero(ours) + np.count_nonzero(theirs) > _DENSE * ours.size:
        return _map_of(theirs)[ours], _map_of(ours)[theirs]
    # Of lesions, whose borders are thin, a distance map would cost many times as much.
    our_points, their_points = np.argwhere(ours), np.argwhere(theirs)
    forth, _ = cKDTree(their_points).query(our_points)
    back, _ = cKDTree(our_points).query(their_points)
    return np.asarray(forth), np.asarray(back)


def border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the pixels of a mask (height, width) that touch its outside, or the image's end, by a side."""
    inside = mask.copy()
    inside[[0, -1]] = False
    inside[:, [0, -1]] = False
    inside[1:] &= mask[:-1]
    inside[:-1] &= mask[1:]
    inside[:, 1:] &= mask[:, :-1]
    inside[:, :-1] &= mask[:, 1:]
    return np.logical_xor(mask, inside, out=inside)


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Find the smallest slices (rows, columns) that hold all of a mask that is not empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    return slice(top, bottom), slice(int(columns[0]), int(columns[-1]) + 1)


def _map_of(points: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Measure the distance of every pixel to the nearest of some."""
    distances: NDArray[np.float64] = distance_transform_edt(~points)
    return distances


def _common(one: tuple[slice, slice], other: tuple[slice, slice]) -> tuple[slice, slice]:
    """Find the smallest box that holds two."""
    rows, columns = (
        slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True)
    )
    return rows, columns
