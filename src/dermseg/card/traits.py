"""What an image shows besides its lesion, as labels that scores are grouped by."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track
from scipy import ndimage

from dermseg.data.images import read_image, read_mask
from dermseg.data.pairs import Pair
from dermseg.data.preprocessing.hair_removal import find_hair
from dermseg.data.quality.measures import BLACK, cielab, measure_colours

SIDE = 256
"""Longer side, in pixels, of the copy that is looked at."""
_HAIR = (0.005, 0.03)
"""Shares of the image under hair that part none, some and much of it."""
_CORNER = 0.1
"""Side of the square at each corner, as a share of the image's."""
_THIRDS = ("lowest third", "middle third", "highest third")


def traits(pairs: Sequence[Pair]) -> dict[str, dict[str, str]]:
    """Label images by hair, dark corners, contrast of the lesion to its skin, and sharpness.

    Hair is what `dermseg.data.preprocessing.hair_removal` finds. Contrast is the CIELAB distance of both
    sides of the true border; sharpness, the mean size of the Laplacian of the grey levels; both are told as
    thirds of these images.

    Args:
        pairs: Readable images with masks.

    Returns:
        By what the labels say: the label of every image that has one, by its identifier, the least first.
    """
    hair: dict[str, float] = {}
    corners: dict[str, float] = {}
    contrast: dict[str, float] = {}
    sharpness: dict[str, float] = {}
    for pair in track(pairs, "Traits"):
        image, name = read_image(pair.image), pair.identifier
        picture = Image.fromarray(image)
        picture.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
        small = np.asarray(picture)
        hair[name] = float(find_hair(small).mean())
        corners[name] = _dark_corners(small)
        sharpness[name] = float(np.abs(ndimage.laplace(small.mean(axis=2))).mean())
        if (colours := measure_colours(image, read_mask(pair.mask))) is not None:
            contrast[name] = colours.contrast
    return {
        "hair": _bounded(hair, _HAIR, ("none found", "some", "much")),
        "dark corners": _bounded(corners, (1, 3), ("none", "one or two", "three or four")),
        "contrast to the skin": _thirds(contrast),
        "sharpness": _thirds(sharpness),
    }


def _dark_corners(image: NDArray[np.uint8]) -> int:
    lightness = cielab(image)[..., 0]
    height, width = (max(1, round(_CORNER * side)) for side in lightness.shape)
    corners = (lightness[rows, columns] for rows in _ends(height) for columns in _ends(width))
    return sum(bool(np.median(corner) < BLACK) for corner in corners)


def _ends(length: int) -> tuple[slice, slice]:
    return slice(None, length), slice(-length, None)


def _bounded(values: Mapping[str, float], bounds: Sequence[float], labels: Sequence[str]) -> dict[str, str]:
    """Label values by the bounds that they reach, the least first."""
    ordered = sorted(values, key=lambda name: values[name])
    return {name: labels[int(np.searchsorted(bounds, values[name], side="right"))] for name in ordered}


def _thirds(values: Mapping[str, float]) -> dict[str, str]:
    return _bounded(values, np.quantile(list(values.values()), (1 / 3, 2 / 3)).tolist(), _THIRDS)
