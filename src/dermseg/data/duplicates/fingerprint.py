"""What is kept of a picture to recognise it again: a hash in eight orientations and a small thumbnail."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter

from dermseg.errors import DataError

SIDE = 64
"""Side of a thumbnail in pixels. The frame is squashed to it, so a change of the aspect is no change."""

FloatArray = NDArray[np.float32]

# In pixels of the thumbnail. Detail finer than the first is lost to compression and resizing; what is coarser
# than the second (a dark blob on light skin, shadowed corners) is common to all dermoscopic images.
_FINE, _COARSE = 1.0, 5.0
_NOISE = 3.0
"""Contrast, in grey levels, below which detail is taken for noise."""
_FLAT = 1.0
"""Contrast, in grey levels, below which a picture has nothing to recognise it by."""

# Frequencies, in half waves across the frame, whose signs are the hash: 256, the same along both axes.
_BITS = 256
_LOWEST = 3.0
_SPECTRUM = 24


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What is kept of a picture to recognise it again."""

    identifier: str
    hashes: NDArray[np.uint64]
    """(8, 4): 256 bits of the picture in each of its eight orientations, in the order of `orientations`."""
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
    grey = Image.fromarray(image).convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    thumbnail = np.asarray(grey)
    return Fingerprint(identifier, hashes(thumbnail[None])[0], thumbnail)


def orientations(pictures: FloatArray) -> Iterator[FloatArray]:
    """Give pictures (..., S, S) in their eight orientations: transposed or not, mirrored along each axis."""
    for turned in (pictures, np.swapaxes(pictures, -1, -2)):
        for upright in (turned, turned[..., ::-1, :]):
            yield upright
            yield upright[..., ::-1]


def texture(thumbnails: NDArray[np.uint8]) -> FloatArray:
    """Keep of thumbnails what tells one picture from another, at one contrast everywhere.

    Illumination, colour and the strength of an edge are divided out, so that neither the dark corners of a
    dermatoscope nor one hair outweighs the rest.

    Args:
        thumbnails: (N, 64, 64), uint8.

    Returns:
        (N, 64, 64): band-passed grey over its local standard deviation; 0 where there is no contrast.
    """
    grey = thumbnails.astype(np.float32)
    fine, coarse = (0.0, _FINE, _FINE), (0.0, _COARSE, _COARSE)
    detail = gaussian_filter(grey, fine) - gaussian_filter(grey, coarse)
    contrast = np.sqrt(gaussian_filter(detail**2, coarse) + np.float32(_NOISE**2))
    return np.asarray(detail / contrast, np.float32)


def is_flat(thumbnails: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Say of thumbnails (N, 64, 64) which have nothing to be recognised by, such as a single colour."""
    return np.asarray(thumbnails.std(axis=(1, 2)) < _FLAT)


def window(size: int) -> FloatArray:
    """Weights (size, size) that fall towards the border, which a crop or a dark frame changes first."""
    wave = np.sin(np.pi * (np.arange(size) + 0.5) / size)
    return np.asarray(np.outer(wave, wave), np.float32)


def hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Hash thumbnails (N, 64, 64) in each orientation: (N, 8, 4).

    A bit is the sign of one coefficient of the texture's cosine transform. Mirroring a picture changes the
    sign of every other coefficient and turning it swaps their two indices, so one transform serves all.
    """
    spectrum = dctn(texture(thumbnails) * window(SIDE), axes=(1, 2))[:, :_SPECTRUM, :_SPECTRUM]
    alternating = np.where(np.arange(_SPECTRUM) % 2, -1, 1)
    mirrored = (np.ones((_SPECTRUM, _SPECTRUM)), alternating[None, :])
    rows, columns = _frequencies()
    bits = [
        (turned * along * across)[:, rows, columns] > 0
        for turned in (spectrum, np.swapaxes(spectrum, 1, 2))
        for along in (mirrored[0], mirrored[1].T)
        for across in mirrored
    ]
    packed = np.packbits(np.stack(bits, axis=1), axis=-1)
    return np.ascontiguousarray(packed).view(np.uint64)


def _frequencies() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Choose the lowest frequencies (rows, columns) above `_LOWEST`; ties go by row, then column."""
    u, v = np.meshgrid(np.arange(_SPECTRUM), np.arange(_SPECTRUM), indexing="ij")
    radius = np.hypot(u, v)
    radius[radius < _LOWEST] = np.inf
    chosen = np.argsort(radius, axis=None, kind="stable")[:_BITS]
    rows, columns = np.unravel_index(chosen, radius.shape)
    return rows, columns
