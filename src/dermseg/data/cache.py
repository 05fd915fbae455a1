"""Data sets decoded once: images and masks of one size in flat files that training maps into memory.

A cache is a folder with `images.npy`, `masks.npy` and `index.json`. The index is written last, so a folder
without it is not a cache; how one is built is in `dermseg.data.building`.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from dermseg.data.building import build, faults, good, has_rows, usable_cores
from dermseg.data.pairs import Pair, Problem, listing
from dermseg.errors import DataError
from dermseg.files import read_json

VERSION = 1
"""Raised when the contents of a cache change meaning; caches of other versions are built anew."""


@dataclass(frozen=True)
class Cache:
    """The usable pairs of a data set at one size; row i of every array is `identifiers[i]`."""

    directory: Path
    size: int
    identifiers: tuple[str, ...]
    original_sizes: tuple[tuple[int, int], ...]
    """(height, width) of each image before it was squashed to (size, size)."""
    problems: tuple[Problem, ...]
    """Files that could not be decoded, and pairs left out because of them."""

    @cached_property
    def images(self) -> NDArray[np.uint8]:
        """Images (N, size, size, 3), uint8, mapped read-only from disk."""
        return _mapped(self.directory / "images.npy")

    @cached_property
    def masks(self) -> NDArray[np.uint8]:
        """Masks (N, size, size), uint8 with values 0 and 1, mapped read-only from disk."""
        return _mapped(self.directory / "masks.npy")

    def __getstate__(self) -> dict[str, Any]:
        """Leave the mapped arrays out: each worker process maps them itself, instead of being sent a copy."""
        return {key: value for key, value in self.__dict__.items() if key not in {"images", "masks"}}


def default_root() -> Path:
    """Name the folder for caches and drawn images: below the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dermseg" / "data"


def directory_for(data: Path, size: int, root: Path | None = None) -> Path:
    """Name the folder for the caches of a data set at a size.

    Args:
        data: Folder of the data set.
        size: Side of the cached images in pixels.
        root: Folder for the caches of all data sets; by default `default_root()`.
    """
    resolved = data.resolve()
    return (root or default_root()) / f"{resolved.name}-{_digest(str(resolved))}-{size}px"


def prepare(
    pairs: Sequence[Pair],
    size: int,
    directory: Path,
    workers: int | None = None,
    progress: bool = False,
) -> Cache:
    """Give the cache of the pairs at a size: the one in `directory` if there is one, or a new one.

    Every state of the files (their paths, sizes and modification times) has a folder of its own, so that a
    cache that a training has mapped is never overwritten. Those of earlier states are left; delete them by
    hand when nothing trains on them. Two processes may call this at once; the second waits for the first.

    Args:
        pairs: Pairs to decode. Those with a broken file or an empty mask are left out and reported.
        size: Side of the cached images in pixels; the whole frame is squashed to a square.
        directory: Gets the folder of the cache; the data set itself is not written to.
        workers: Decoding threads (Pillow decodes outside Python's lock); None for one per usable core.
        progress: Show a progress bar.

    Raises:
        DataError: No pair is usable, the folder cannot be written, or the disk is full.
    """
    plan = {
        "version": VERSION,
        "size": size,
        "geometry": "squash",
        "sources": [_source(pair) for pair in pairs],
    }
    directory = directory / _digest(json.dumps(plan))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with FileLock(directory / "lock"):
            cache = _load(directory, plan)
            if cache is None:
                build(pairs, plan, directory, workers or usable_cores(), progress)
                cache = _load(directory, plan)
    except OSError as error:
        raise DataError(
            f"{directory} cannot hold the cache ({error}); free space or name another folder."
        ) from error
    if cache is None or not cache.identifiers:
        raise DataError(
            f"None of the {len(pairs)} pairs is usable. {_summary(cache.problems if cache else ())}"
        )
    return cache


def _load(directory: Path, plan: dict[str, Any]) -> Cache | None:
    """Load the cache if it is complete and was made by this plan."""
    index = read_json(directory / "index.json")
    if index is None or {key: index.get(key) for key in plan} != plan:
        return None
    usable = good(index["entries"])
    if not has_rows(directory, len(usable), index["size"]):
        return None
    return Cache(
        directory=directory,
        size=index["size"],
        identifiers=tuple(entry["identifier"] for entry in usable),
        original_sizes=tuple((entry["height"], entry["width"]) for entry in usable),
        problems=tuple(faults(index["entries"])),
    )


def _source(pair: Pair) -> list[str | int]:
    """Fingerprint the files of a pair; compared as JSON, so made of what JSON keeps."""
    image, mask = _stamp(pair.image), _stamp(pair.mask)
    return [pair.identifier, str(pair.image.resolve()), *image, str(pair.mask.resolve()), *mask]


def _digest(text: str) -> str:
    # Names of files need not be valid Unicode.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        # Gone since it was listed: decoding will say so.
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)


def _mapped(path: Path) -> NDArray[np.uint8]:
    mapped: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return mapped


def _summary(problems: Iterable[Problem]) -> str:
    return f"Found: {listing([f'{problem.path} {problem.reason}' for problem in problems], 3) or 'no pairs'}."
