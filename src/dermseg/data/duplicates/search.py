"""The search for near-duplicates: hashes that are close, then pictures that correlate."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermseg.data.duplicates.alignment import Views, likeness
from dermseg.data.duplicates.fingerprint import SHAPE, SIDE, Fingerprint, FloatArray, textures
from dermseg.data.duplicates.hashing import VARIANTS, query_hashes, upright_hashes
from dermseg.data.duplicates.references import References
from dermseg.data.duplicates.warp import in_orientation

CLOSE = 84
"""Largest Hamming distance, of 256 bits, between hashes of pictures that are then compared."""
ALIKE = 0.77
"""Least correlation of near-duplicates. Among 2,094 images of ISIC 2018 (benchmarks/duplicates.py) pairs of
one lesion reach 0.78 and more, others up to 0.75."""
ALIKE_SIGNS = 0.88
"""The same where only signs are known of one picture, which say less: others reach 0.87 (one image of PH2,
among those of ISIC 2018 at 128 px)."""

_BLOCK = 1 << 18
"""Distances computed at a time, whatever the number of images."""
_BATCH = 256
"""Pairs of pictures compared at a time."""

Rows = NDArray[np.intp]
Candidates = tuple[Rows, Rows, Rows, Rows]
"""Rows of the first pictures, rows of the others, orientation and part of the first whose hash is close."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two images that show one picture."""

    first: str
    second: str
    correlation: float
    """Of their detail after alignment, from `ALIKE` to 1."""


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
    thumbnails = _thumbnails(ordered)
    pictures = textures(thumbnails, SHAPE)
    views = Views.of(thumbnails, pictures)
    candidates = _candidates(pictures, upright_hashes(pictures), same=True)
    found: dict[tuple[int, int], float] = {}
    for (i, j), value in _confirmed(candidates, views, views.rows, ALIKE).items():
        pair = (min(i, j), max(i, j))
        found[pair] = max(found.get(pair, 0.0), value)
    return [
        Duplicate(ordered[i].identifier, ordered[j].identifier, value)
        for (i, j), value in sorted(found.items())
    ]


def near_duplicates_between(fingerprints: Sequence[Fingerprint], known: References) -> list[Duplicate]:
    """Find the images that show the picture of a known one, as `near_duplicates` does.

    Less is known of them, so copies that were changed much may be missed.

    Args:
        fingerprints: Of images that may be copies.
        known: Images that others are compared with.

    Returns:
        The pairs, in the order of the fingerprints; `second` is the known image.
    """
    thumbnails = _thumbnails(fingerprints)
    pictures = textures(thumbnails, SHAPE)
    candidates = _candidates(pictures, known.hashes, same=False)
    found = _confirmed(candidates, Views.of(thumbnails, pictures), known.views, ALIKE_SIGNS)
    return [
        Duplicate(fingerprints[i].identifier, known.identifiers[j], value)
        for (i, j), value in sorted(found.items())
    ]


def _thumbnails(fingerprints: Sequence[Fingerprint]) -> NDArray[np.uint8]:
    return np.array([one.thumbnail for one in fingerprints], np.uint8).reshape(-1, SIDE, SIDE)


def _candidates(pictures: FloatArray, known: NDArray[np.uint64], *, same: bool) -> Iterator[Candidates]:
    """Compare the hashes of pictures (N, 64, 64), turned and in part, with known ones (M, 4).

    Args:
        pictures: Textures that are asked about.
        known: Hashes of upright pictures.
        same: The known hashes are of the pictures themselves, none of which is compared with itself.

    Yields:
        Where a hash is close, and of several of one orientation the closest.
    """
    # Nothing is known of a picture without structure, of which no bit is set.
    columns = np.flatnonzero(known.any(axis=1))
    words = np.ascontiguousarray(known[columns].T)
    structured = np.flatnonzero(pictures.any(axis=(1, 2)))
    height = max(1, _BLOCK // max(1, len(columns)))
    for begin in range(0, len(structured) if len(columns) else 0, height):
        rows = structured[begin : begin + height]
        hashes = query_hashes(pictures[rows])
        for orientation in range(hashes.shape[1]):
            least = np.full((len(rows), len(columns)), CLOSE + 1, np.uint16)
            part = np.zeros(least.shape, np.uint8)
            for variant in range(hashes.shape[2]):
                distances = _distances(hashes[:, orientation, variant], words)
                part[distances < least] = variant
                np.minimum(least, distances, out=least)
            i, j = np.nonzero(least <= CLOSE)
            parts = part[i, j].astype(np.intp)
            i, j = rows[i], columns[j]
            others = i != j if same else np.ones(len(i), bool)
            if others.any():
                turns = np.full(int(others.sum()), orientation)
                yield i[others], j[others], turns, parts[others]


def _distances(hashes: NDArray[np.uint64], words: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """Count the bits in which hashes (N, 4) and others, word by word (4, M), differ: (N, M)."""
    distances = np.zeros((len(hashes), words.shape[1]), np.uint16)
    for word, others in enumerate(words):
        distances += np.bitwise_count(hashes[:, word, None] ^ others)
    return distances


def _confirmed(
    candidates: Iterator[Candidates],
    views: Views,
    others: Callable[[Rows], Views],
    least: float,
) -> dict[tuple[int, int], float]:
    """Keep the pairs of rows that correlate at least so much, each with its highest correlation."""
    found: dict[tuple[int, int], float] = {}
    for i, j, orientation, part in _batches(candidates):
        begin = in_orientation(VARIANTS[part], orientation)
        values = likeness(views.rows(i).oriented(orientation), others(j), begin)
        for place in np.flatnonzero(values >= least):
            pair = (int(i[place]), int(j[place]))
            found[pair] = max(found.get(pair, 0.0), float(values[place]))
    return found


def _batches(candidates: Iterator[Candidates]) -> Iterator[Candidates]:
    """Cut and join candidates to batches of a size that is quick to compare."""
    waiting = np.empty((4, 0), np.intp)
    for found in candidates:
        waiting = np.concatenate([waiting, np.stack(found)], axis=1)
        while waiting.shape[1] >= _BATCH:
            yield _rows(waiting[:, :_BATCH])
            waiting = waiting[:, _BATCH:]
    if waiting.shape[1]:
        yield _rows(waiting)


def _rows(table: Rows) -> Candidates:
    return table[0], table[1], table[2], table[3]
