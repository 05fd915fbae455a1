"""Fingerprints and near-duplicates of a prepared cache, kept beside it: found once, then read."""

from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from dermseg.data.cache import Cache
from dermseg.data.duplicates.fingerprint import SIDE, Fingerprint, fingerprint
from dermseg.data.duplicates.references import VERSION
from dermseg.data.duplicates.search import Duplicate, near_duplicates
from dermseg.files import replacing

_FILE = "fingerprints.npz"

Arrays = dict[str, NDArray[np.generic]]


def cached_duplicates(cache: Cache, progress: bool = False) -> tuple[list[Fingerprint], list[Duplicate]]:
    """Give the fingerprints of all images of a cache, and the near-duplicates among them.

    The first call takes seconds for a few thousand images; later ones read its result.

    Args:
        cache: Prepared images.
        progress: Show a progress bar.
    """
    path = cache.directory / _FILE
    arrays = _read(path, len(cache.identifiers))
    if arrays is None:
        arrays = _computed(cache, progress)
        # A cache may lie where this user cannot write; then it is computed anew each time.
        with suppress(OSError), replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
    names = cache.identifiers
    fingerprints = [
        Fingerprint(name, thumbnail) for name, thumbnail in zip(names, arrays["thumbnails"], strict=True)
    ]
    duplicates = [
        Duplicate(names[first], names[second], float(value))
        for (first, second), value in zip(arrays["pairs"], arrays["correlations"], strict=True)
    ]
    return fingerprints, duplicates


def _computed(cache: Cache, progress: bool) -> Arrays:
    console, count = Console(stderr=True), len(cache.identifiers)
    rows = track(range(count), "Looking for near-duplicates", console=console, disable=not progress)
    fingerprints = [fingerprint(cache.identifiers[row], _picture(cache, row)) for row in rows]
    row_of = {identifier: row for row, identifier in enumerate(cache.identifiers)}
    found = near_duplicates(fingerprints)
    return {
        "version": np.array(VERSION),
        "thumbnails": np.stack([one.thumbnail for one in fingerprints]),
        "pairs": np.array([(row_of[one.first], row_of[one.second]) for one in found], np.intp).reshape(-1, 2),
        "correlations": np.array([one.correlation for one in found], np.float32),
    }


def _picture(cache: Cache, row: int) -> NDArray[np.uint8]:
    """Give an image without what was added to make it square."""
    return np.asarray(cache.images[row][cache.areas[row].slices])


def _read(path: Path, count: int) -> Arrays | None:
    """Read what an earlier call left; None if there is nothing of use."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in ("version", "thumbnails", "pairs", "correlations")}
    except Exception:
        # Zip and npy readers meet damage with any exception; what is lost is computed again.
        return None
    return arrays if _fit(arrays, count) else None


def _fit(arrays: Arrays, count: int) -> bool:
    """Say whether arrays are those of `_computed`, for so many images."""
    rows = arrays["pairs"].shape[:1]
    wanted = {
        "version": ("i", ()),
        "thumbnails": ("u", (count, SIDE, SIDE)),
        "pairs": ("i", (*rows, 2)),
        "correlations": ("f", rows),
    }
    if {name: (array.dtype.kind, array.shape) for name, array in arrays.items()} != wanted:
        return False
    return arrays["version"] == VERSION and bool(np.isin(arrays["pairs"], np.arange(count)).all())
