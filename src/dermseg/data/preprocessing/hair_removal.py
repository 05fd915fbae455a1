"""Removal of dark hair, after DullRazor.

Lee et al., "DullRazor: a software approach to hair removal from images", Computers in Biology and Medicine,
1997.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

BoolArray = NDArray[np.bool_]

_WIDTH = 0.025
"""Widest hair, as a share of the shorter side."""
_LENGTH = 0.12
"""Shortest hair, as a share of the shorter side."""
_DEPTH = 20
"""Grey levels by which hair is darker than the skin beside it, at least."""
_DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Steps (down, right) along a row, a column and the two diagonals."""
_AROUND = np.ones((3, 3), bool)


def remove_hair(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Find dark hair and replace it by what lies beside it.

    The steps are the paper's. A closing along lines of three directions fills what is dark and narrow. What
    it brightened must be long and thin. It is interpolated between the nearest clean pixels on both sides,
    across the hair, and the seams are smoothed by a median. Lengths are relative to the image here, where the
    paper has pixels; long and thin is tested on whole connected parts, not by walks from each pixel. Meant
    for images of a network's size: the time grows with the area times the width of a hair.

    Args:
        image: RGB (H, W, 3), uint8.

    Returns:
        RGB (H, W, 3), uint8; the same values wherever there is no hair nearby.
    """
    hair = find_hair(image)
    if not hair.any():
        return image.copy()
    # The edge of a hair is half as dark, and belongs to it.
    hair = ndimage.binary_dilation(hair, _AROUND)
    filled = _interpolated(image, hair, reach=4 * _widest(image))
    smooth = ndimage.median_filter(filled, size=(5, 5, 1))
    return np.where(ndimage.binary_dilation(hair, _AROUND)[..., None], smooth, filled)


def find_hair(image: NDArray[np.uint8]) -> BoolArray:
    """Find the pixels (H, W) of dark hair in an RGB image (H, W, 3), uint8."""
    widest = _widest(image)
    line = widest + 2
    footprints = (np.ones((1, line), bool), np.ones((line, 1), bool), np.eye(line, dtype=bool))
    closings = [ndimage.grey_closing(image, footprint=footprint[..., None]) for footprint in footprints]
    brightened = np.max(closings, axis=0).astype(np.int16) - image
    candidates = brightened.max(axis=2) >= _DEPTH
    # Wider than a hair, since hairs cross.
    thin = candidates & ~ndimage.binary_opening(candidates, _disc(0.7 * widest))
    return _long(thin, _LENGTH * min(image.shape[:2]))


def _widest(image: NDArray[np.uint8]) -> int:
    share: int = round(_WIDTH * min(image.shape[:2]))
    return max(3, share)


def _disc(radius: float) -> BoolArray:
    reach = math.floor(radius)
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    return np.asarray(x**2 + y**2 <= radius**2)


def _long(mask: BoolArray, length: float) -> BoolArray:
    """Keep connected parts whose bounding box has a diagonal of at least `length` pixels."""
    labels, count = ndimage.label(mask, _AROUND)
    keep = np.zeros(count + 1, bool)
    for label, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        keep[label] = math.hypot(rows.stop - rows.start, columns.stop - columns.start) >= length
    return np.asarray(keep[labels])


def _interpolated(image: NDArray[np.uint8], hair: BoolArray, reach: int) -> NDArray[np.uint8]:
    """Fill hair between clean pixels on both sides, in the direction in which these are closest together."""
    rows, columns = np.nonzero(hair)
    values = image[rows, columns].astype(np.float64)
    closest = np.full(len(rows), np.inf)
    for down, right in _DIRECTIONS:
        behind = _steps_to_clean(hair, rows, columns, (-down, -right), reach)
        ahead = _steps_to_clean(hair, rows, columns, (down, right), reach)
        span = (behind + ahead) * math.hypot(down, right)
        better = np.flatnonzero(span < closest)
        closest[better] = span[better]
        back, forth = behind[better].astype(int), ahead[better].astype(int)
        first = image[rows[better] - back * down, columns[better] - back * right]
        second = image[rows[better] + forth * down, columns[better] + forth * right]
        share = (back / (back + forth))[:, None]
        values[better] = (1 - share) * first + share * second
    filled = image.copy()
    filled[rows, columns] = np.rint(values)
    return filled


def _steps_to_clean(
    hair: BoolArray, rows: NDArray[np.intp], columns: NDArray[np.intp], step: tuple[int, int], reach: int
) -> NDArray[np.float64]:
    """Count the steps from each pixel to the first clean one; infinite where there is none within `reach`."""
    steps = np.full(len(rows), np.inf)
    walking = np.arange(len(rows))
    for count in range(1, reach + 1):
        row, column = rows[walking] + count * step[0], columns[walking] + count * step[1]
        inside = (row >= 0) & (row < hair.shape[0]) & (column >= 0) & (column < hair.shape[1])
        walking, row, column = walking[inside], row[inside], column[inside]
        clean = ~hair[row, column]
        steps[walking[clean]] = count
        walking = walking[~clean]
    return steps
