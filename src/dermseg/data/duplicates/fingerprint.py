"""What is kept of a picture to recognise it again, and what is compared of it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from dermseg.errors import DataError

SIDE = 64
"""Side of a thumbnail in pixels. The frame is squashed to it, so a change of the aspect is no change."""

COMPARED_SIZE = 256
"""Side, in pixels, of the squares that fingerprints are taken of, where no training has chosen another."""

FloatArray = NDArray[np.float32]


class Band(NamedTuple):
    """Which detail of a thumbnail is looked at, in pixels of it."""

    fine: float
    """Finer detail is lost to compression and resizing."""
    coarse: float
    """Coarser detail is common to many images, such as a dark blob on light skin."""
    noise: float
    """Contrast, in grey levels, below which detail is taken for noise."""


SHAPE = Band(1.0, 5.0, 3.0)
"""What pictures are found and laid over one another by; much of it is the border of the lesion."""
DETAIL = Band(0.7, 2.5, 1.0)
"""What tells pictures apart: lesions may have much the same border, but not the same pattern and hair."""

_FLAT = 1.0
"""Contrast, in grey levels, below which a picture has nothing to recognise it by."""
_BLOCK = 64
"""Pictures filtered at a time."""


@dataclass(frozen=True, eq=False, slots=True)
class Fingerprint:
    """What is kept of a picture to recognise it again; its hashes are made of the thumbnail when needed."""

    identifier: str
    thumbnail: NDArray[np.uint8]
    """(64, 64), grey: the whole frame, squashed."""


def fingerprint(identifier: str, image: NDArray[np.uint8]) -> Fingerprint:
    """Take the fingerprint of an image.

    Args:
        identifier: Name of the image.
        image: Array (height, width, 3), uint8, of any size.

    Raises:
        DataError: The array is no such image.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise DataError(
            f"{identifier} has no fingerprint: it is {image.dtype} of shape {image.shape}; "
            "expected uint8 (height, width, 3)."
        )
    grey = Image.fromarray(np.ascontiguousarray(image)).convert("L")
    return Fingerprint(identifier, np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR)))


def textures(thumbnails: NDArray[np.uint8], band: Band) -> FloatArray:
    """Keep of thumbnails what tells one picture from another, at one contrast everywhere.

    Illumination, colour and the strength of an edge are divided out, so that neither the dark corners of a
    dermatoscope nor one hair outweighs the rest.

    Args:
        thumbnails: (N, 64, 64), uint8.
        band: Which detail.

    Returns:
        (N, 64, 64): band-passed grey over its local standard deviation; 0 in pictures without structure, such
        as a single colour.
    """
    result = np.empty(thumbnails.shape, np.float32)
    fine, coarse = (0.0, band.fine, band.fine), (0.0, band.coarse, band.coarse)
    for begin in range(0, len(thumbnails), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        grey = thumbnails[block].astype(np.float32)
        detail = gaussian_filter(grey, fine) - gaussian_filter(grey, coarse)
        contrast = np.sqrt(gaussian_filter(detail**2, coarse) + np.float32(band.noise**2))
        structured = grey.std(axis=(1, 2), keepdims=True) >= _FLAT
        result[block] = detail / contrast * structured
    return result


def pooled(pictures: FloatArray, side: int) -> FloatArray:
    """Reduce pictures (N, S, S) to (N, side, side) by averaging squares."""
    count, factor = len(pictures), pictures.shape[1] // side
    return np.asarray(pictures.reshape(count, side, factor, side, factor).mean(axis=(2, 4)), np.float32)


def window(side: int) -> FloatArray:
    """Weights (side, side) that fall towards the border, which a crop or a dark frame changes first."""
    wave = np.sin(np.pi * (np.arange(side) + 0.5) / side)
    return np.asarray(np.outer(wave, wave), np.float32)
