"""Hashes of pictures: signs of a cosine transform, in every orientation, of the whole and of parts."""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from dermseg.data.duplicates.fingerprint import SIDE, FloatArray, window
from dermseg.data.duplicates.warp import sampled

WORDS = 4
"""Numbers of 64 bits in a hash."""

_BITS = 64 * WORDS
_LOWEST = 3.0
_SPECTRUM = 24
"""Frequencies along each axis, in half waves across the frame; the lowest above `_LOWEST` make the hash."""

_BLOCK = 64
"""Pictures transformed at a time."""


def _variants() -> FloatArray:
    """Maps (8, 2, 3) of a picture to the parts of it that others may show.

    The whole, each corner without 5 % of the other sides, the middle 90 %, and the middle 95 % turned by 5
    degrees either way. What lies between them is close enough to one.
    """
    corners = [(0.95, 0.0, x, y) for x in (-0.05, 0.05) for y in (-0.05, 0.05)]
    turns = [(0.95, np.deg2rad(degrees), 0.0, 0.0) for degrees in (-5, 5)]
    maps = [
        [[zoom * np.cos(turn), -zoom * np.sin(turn), x], [zoom * np.sin(turn), zoom * np.cos(turn), y]]
        for zoom, turn, x, y in [(1.0, 0.0, 0.0, 0.0), *corners, (0.9, 0.0, 0.0, 0.0), *turns]
    ]
    return np.array(maps, np.float32)


VARIANTS = _variants()
"""Part of the queried picture that each of its hashes shows, by number."""


def upright_hashes(pictures: FloatArray) -> NDArray[np.uint64]:
    """Hash textures (N, 64, 64) as they are: (N, 4). Of a picture without structure no bit is set."""
    rows, columns = _frequencies()
    return np.concatenate(
        [np.empty((0, WORDS), np.uint64)]
        + [_packed(_spectrum(block)[:, rows, columns]) for block in _blocks(pictures)]
    )


def query_hashes(pictures: FloatArray) -> NDArray[np.uint64]:
    """Hash textures (N, 64, 64) in each orientation, whole and in part: (N, orientation, variant, 4).

    Mirroring a picture changes the sign of every other coefficient and turning it swaps their two indices, so
    one transform serves all orientations.
    """
    parts = []
    for block in _blocks(pictures):
        hashes = [
            _oriented_hashes(sampled(block, variant[None]).values.reshape(block.shape))
            for variant in VARIANTS
        ]
        parts.append(np.stack(hashes, axis=2))
    return np.concatenate([np.empty((0, 8, len(VARIANTS), WORDS), np.uint64), *parts])


def _blocks(pictures: FloatArray) -> list[FloatArray]:
    return [pictures[begin : begin + _BLOCK] for begin in range(0, len(pictures), _BLOCK)]


def _oriented_hashes(pictures: FloatArray) -> NDArray[np.uint64]:
    """Hash pictures (N, 64, 64) in each orientation, in the order of `orientations`: (N, 8, 4)."""
    spectrum = _spectrum(pictures)
    alternating = np.where(np.arange(_SPECTRUM) % 2, -1, 1).astype(np.float32)
    same = np.ones_like(alternating)
    rows, columns = _frequencies()
    hashes = [
        _packed((turned * vertical[:, None] * horizontal)[:, rows, columns])
        for turned in (spectrum, np.swapaxes(spectrum, 1, 2))
        for vertical in (same, alternating)
        for horizontal in (same, alternating)
    ]
    return np.stack(hashes, axis=1)


def _spectrum(pictures: FloatArray) -> FloatArray:
    spectrum = dctn(pictures * window(SIDE), axes=(1, 2))
    return np.asarray(spectrum[:, :_SPECTRUM, :_SPECTRUM], np.float32)


def _packed(coefficients: FloatArray) -> NDArray[np.uint64]:
    """Pack the signs of (N, 256) coefficients: (N, 4)."""
    return np.ascontiguousarray(np.packbits(coefficients > 0, axis=-1)).view(np.uint64)


def _frequencies() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Choose the lowest frequencies (rows, columns) above `_LOWEST`; ties go by row, then column."""
    u, v = np.meshgrid(np.arange(_SPECTRUM), np.arange(_SPECTRUM), indexing="ij")
    radius = np.hypot(u, v)
    radius[radius < _LOWEST] = np.inf
    chosen = np.argsort(radius, axis=None, kind="stable")[:_BITS]
    rows, columns = np.unravel_index(chosen, radius.shape)
    return rows, columns
