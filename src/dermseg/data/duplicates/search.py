"""The search for near-duplicates: hashes that are close, then pictures that correlate."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermseg.data.duplicates.alignment import GRID, aligned_correlation, correlation, on_grid
from dermseg.data.duplicates.fingerprint import (
    SIDE,
    Fingerprint,
    FloatArray,
    is_flat,
    orientations,
    texture,
    window,
)
from dermseg.data.duplicates.references import References

CLOSE = 84
"""Largest Hamming distance, of 256 bits, between hashes of pictures that are then compared."""
ALIKE = 0.75
"""Least correlation of near-duplicates."""

_BLOCK = 1 << 19
"""Distances computed at a time, whatever the number of images."""
_BATCH = 128
"""Pairs of pictures compared at a time."""

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two images that show one picture."""

    first: str
    second: str
    correlation: float
    """Of their fine structure after alignment, from `ALIKE` to 1."""


def near_duplicates(fingerprints: Sequence[Fingerprint]) -> list[Duplicate]:
    """Find the pairs among images that show one picture.

    Found are copies that were resized, squashed, compressed again, mirrored, turned by quarters or by a few
    degrees, cropped by several per cent, or published with other colours. Pictures without any structure,
    such as a single colour, are never near-duplicates.

    Args:
        fingerprints: Of the images, in any order.

    Returns:
        The pairs in the order of their identifiers; the lesser identifier is `first`.
    """
    ordered = sorted(fingerprints, key=lambda one: one.identifier)
    if len(ordered) < 2:
        return []
    thumbnails = _thumbnails(ordered)
    hashes = np.stack([one.hashes for one in ordered])
    pairs = _candidates(hashes, hashes[:, 0], ~is_flat(thumbnails), same=True)

    def fixed(rows: Rows) -> FloatArray:
        return on_grid(texture(thumbnails[rows]))

    return [
        Duplicate(ordered[i].identifier, ordered[j].identifier, value)
        for (i, j), value in sorted(_confirmed(pairs, thumbnails, fixed).items())
    ]


def near_duplicates_between(fingerprints: Sequence[Fingerprint], known: References) -> list[Duplicate]:
    """Find the images that show the picture of a known one, as `near_duplicates` does.

    Args:
        fingerprints: Of images that may be copies.
        known: Images that others are compared with.

    Returns:
        The pairs, in the order of the fingerprints; `second` is the known image.
    """
    if not fingerprints or not known.identifiers:
        return []
    thumbnails = _thumbnails(fingerprints)
    hashes = np.stack([one.hashes for one in fingerprints])
    pairs = _candidates(hashes, known.hashes, ~is_flat(thumbnails), same=False)
    return [
        Duplicate(fingerprints[i].identifier, known.identifiers[j], value)
        for (i, j), value in sorted(_confirmed(pairs, thumbnails, known.templates).items())
    ]


def _thumbnails(fingerprints: Sequence[Fingerprint]) -> NDArray[np.uint8]:
    return np.stack([one.thumbnail for one in fingerprints]).reshape(-1, SIDE, SIDE)


def _candidates(
    first: NDArray[np.uint64], second: NDArray[np.uint64], structured: NDArray[np.bool_], *, same: bool
) -> Iterator[tuple[Rows, Rows, Rows]]:
    """Compare hashes of all orientations (N, 8, 4) with upright ones (M, 4), a block of rows at a time.

    Yields:
        Rows of the first, rows of the second, and orientations, of hashes that are close.
    """
    rows = np.flatnonzero(structured)
    height = max(1, _BLOCK // len(second))
    # A picture without structure has no bit set.
    usable = second.any(axis=1)
    for begin in range(0, len(rows), height):
        block = rows[begin : begin + height]
        # Of one set every pair is met once: the later rows alone are compared.
        start = int(block[0]) + 1 if same else 0
        columns = second[start:]
        for orientation in range(first.shape[1]):
            distance = np.zeros((len(block), len(columns)), np.uint16)
            for word in range(second.shape[1]):
                differing = first[block, orientation, word][:, None] ^ columns[None, :, word]
                distance += np.bitwise_count(differing)
            i, j = np.nonzero((distance <= CLOSE) & usable[start:])
            i, j = block[i], j + start
            wanted = j > i if same else np.ones(len(i), bool)
            if wanted.any():
                yield i[wanted], j[wanted], np.full(int(wanted.sum()), orientation)


def _confirmed(
    pairs: Iterator[tuple[Rows, Rows, Rows]],
    thumbnails: NDArray[np.uint8],
    fixed: Callable[[Rows], FloatArray],
) -> dict[tuple[int, int], float]:
    """Keep the pairs of rows that correlate, each with its highest correlation."""
    found: dict[tuple[int, int], float] = {}
    for i, j, orientation in _batches(pairs):
        moving = _oriented(texture(thumbnails[i]), orientation)
        values = _alike(moving, fixed(j))
        for pair in np.flatnonzero(values >= ALIKE):
            key = (int(i[pair]), int(j[pair]))
            found[key] = max(found.get(key, 0.0), float(values[pair]))
    return found


def _batches(pairs: Iterator[tuple[Rows, Rows, Rows]]) -> Iterator[tuple[Rows, Rows, Rows]]:
    """Cut and join candidates to batches of a size that is quick to compare."""
    waiting = np.empty((3, 0), np.intp)
    for found in pairs:
        waiting = np.concatenate([waiting, np.stack(found)], axis=1)
        while waiting.shape[1] >= _BATCH:
            yield waiting[0, :_BATCH], waiting[1, :_BATCH], waiting[2, :_BATCH]
            waiting = waiting[:, _BATCH:]
    if waiting.shape[1]:
        yield waiting[0], waiting[1], waiting[2]


def _oriented(pictures: FloatArray, numbers: Rows) -> FloatArray:
    """Turn each picture (N, S, S) into its own orientation."""
    result = np.empty_like(pictures)
    for number, turned in enumerate(orientations(pictures)):
        result[numbers == number] = turned[numbers == number]
    return result


def _alike(moving: FloatArray, fixed: FloatArray) -> FloatArray:
    """Correlate pictures pair by pair: as they are where that says enough, else after alignment."""
    weights = window(GRID).reshape(1, -1)
    count = len(moving)
    values = correlation(on_grid(moving).reshape(count, -1), fixed.reshape(count, -1), weights)
    open_ = values < ALIKE
    if open_.any():
        values[open_] = np.maximum(values[open_], aligned_correlation(moving[open_], fixed[open_]))
    return values
