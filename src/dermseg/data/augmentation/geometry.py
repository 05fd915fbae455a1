"""Where the pixels of a view come from: one smooth surface of control points, sampled once.

Places are (x, y), from -1 at one edge of an image to 1 at the other, as in `torch.nn.functional.grid_sample`.
"""

import math
from functools import lru_cache

import numpy as np

from dermseg.data.augmentation.draws import POINTS, Draws, FloatArray
from dermseg.data.augmentation.settings import Augmentation

MARGIN = 0.4
"""Width of the strip at each edge that is mirrored, over and over, to fill what lies beyond the frame.
Mirroring the whole frame would show lesions that are not there."""


def control_points(draws: Draws, augmentation: Augmentation, height: int, width: int) -> FloatArray:
    """Place the control points of each view in the source image.

    Mirrored, stretched, turned, zoomed and shifted all together, then each displaced by its own draw: a cubic
    B-spline follows its control points, so this is an affine map with a smooth warp on top.

    Returns:
        Places (B, 2, POINTS, POINTS): x and y, by row and column of the control points.
    """
    maps = affine_maps(draws, augmentation)
    # In lengths of the longer side, or turning would shear images that are not square.
    extent = np.array([width, height], np.float32) / max(width, height)
    step = 2 / (POINTS - 3)
    at = np.linspace(-1 - step, 1 + step, POINTS, dtype=np.float32)
    x, y = at[None, :] * extent[0], at[:, None] * extent[1]
    moved = maps[..., 0, None, None] * x + maps[..., 1, None, None] * y + maps[..., 2, None, None]
    points: FloatArray = moved / extent[:, None, None] + 2 * augmentation.elastic * draws.warp()
    return points


def affine_maps(draws: Draws, augmentation: Augmentation) -> FloatArray:
    """Return the maps (B, 2, 3) from a place in the view to its place in the source, unwarped."""
    angle = draws.either_way("angle") * math.radians(augmentation.rotation)
    zoom = (1 + augmentation.scale) ** draws.either_way("scale")
    stretch = (1 + augmentation.aspect) ** (draws.either_way("aspect") / 2)
    along_x, along_y = zoom * stretch, zoom / stretch
    if augmentation.mirror:
        along_x = np.where(draws.share("mirror") < 0.5, -along_x, along_x)
        along_y = np.where(draws.share("flip") < 0.5, -along_y, along_y)
    shift_x, shift_y = (2 * augmentation.shift * draws.either_way(f"shift_{axis}") for axis in "xy")
    rows = [
        [along_x * np.cos(angle), -along_y * np.sin(angle), shift_x],
        [along_x * np.sin(angle), along_y * np.cos(angle), shift_y],
    ]
    return np.ascontiguousarray(np.moveaxis(np.array(rows, np.float32), 2, 0))


@lru_cache(maxsize=8)
def spline(side: int) -> FloatArray:
    """Return the weights (side, POINTS) of the control points at the middle of every pixel."""
    at = (np.arange(side) + 0.5) / side * (POINTS - 3)
    distance = np.abs(at[:, None] - np.arange(-1, POINTS - 1))
    # The cubic B-spline.
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


@lru_cache(maxsize=8)
def middles(side: int) -> FloatArray:
    """Return the places of the middles of `side` pixels, in [-1, 1]."""
    return ((np.arange(side) * 2 + 1) / side - 1).astype(np.float32)
