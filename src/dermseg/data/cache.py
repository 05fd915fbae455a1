"""Data sets decoded once: images and masks of one size in flat files that training maps into memory.

A cache is a folder with `images.npy`, `masks.npy` and `index.json`. The index is written last, so a folder
without it is not a cache; how one is built is in `dermseg.data.building`.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from rich.console import Console

from dermseg.data.building import INDEX, LOCK, build, content_checksum, is_entry
from dermseg.data.decoding import faults, good, usable_cores
from dermseg.data.geometry import Area, Geometry, check_geometry
from dermseg.data.packed import PackedMasks
from dermseg.data.pairs import Pair, Problem, listing
from dermseg.data.preprocessing.table import check_steps
from dermseg.data.storage import IMAGES, MASKS, count_intact, is_finished, mapped
from dermseg.errors import ConfigError, DataError
from dermseg.files import read_json

VERSION = 2
"""Raised when the contents of a cache change meaning; caches of other versions are built anew."""


@dataclass(frozen=True)
class Cache:
    """The usable pairs of a data set at one size; row i of every array is `identifiers[i]`."""

    directory: Path
    size: int
    identifiers: tuple[str, ...]
    original_sizes: tuple[tuple[int, int], ...]
    """(height, width) of each image before it was brought to (size, size)."""
    problems: tuple[Problem, ...]
    """Files that could not be decoded, and pairs left out because of them."""
    geometry: Geometry
    """How images and masks were brought into the square."""
    preprocessing: tuple[str, ...]
    """What was done to the images there."""
    areas: tuple[Area, ...]
    """Part of each square that shows the image; the rest (of `fit`) mirrors it, in the mask too."""
    checksum: str
    """SHA-256 of identifiers and pixels: equal where two caches hold the same, wherever they lie."""

    @cached_property
    def planes(self) -> NDArray[np.uint8]:
        """Images (N, 3, size, size), uint8, mapped read-only from disk, where they lie in this order."""
        return mapped(self.directory, IMAGES)

    @property
    def images(self) -> NDArray[np.uint8]:
        """Images (N, size, size, 3), uint8, mapped read-only from disk: `planes` with its axes exchanged."""
        return self.planes.transpose(0, 2, 3, 1)

    @cached_property
    def masks(self) -> PackedMasks:
        """Masks (N, size, size), uint8 with values 0 and 1, unpacked as they are indexed."""
        return PackedMasks(mapped(self.directory, MASKS), self.size)

    def checksum_of(self, identifiers: Iterable[str]) -> str:
        """Give what `checksum` would be if the cache held these images alone: a folder may get others.

        Raises:
            DataError: The cache is no longer there.
        """
        chosen = set(identifiers)
        index = read_json(self.directory / INDEX)
        if index is None:
            raise DataError(f"{self.directory} has lost its {INDEX}; the next start prepares the cache anew.")
        return content_checksum([entry for entry in index["entries"] if entry["identifier"] in chosen])

    def __getstate__(self) -> dict[str, Any]:
        """Leave the mapped arrays out: each worker process maps them itself, instead of being sent a copy."""
        return {key: value for key, value in self.__dict__.items() if key not in {"planes", "masks"}}


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
    # Names of folders may be as long as file systems allow; the digest tells them apart.
    return (root or default_root()) / f"{resolved.name[:48]}-{_digest(str(resolved))}-{size}px"


def prepare(
    pairs: Sequence[Pair],
    size: int,
    directory: Path,
    workers: int | None = None,
    progress: bool = False,
    *,
    geometry: Geometry = "squash",
    preprocessing: Sequence[str] = (),
    verify: bool = False,
) -> Cache:
    """Give the cache of the pairs at a size: the one in `directory` if there is one, or a new one.

    Every state of the files (their paths, sizes and modification times) has a folder of its own, so that a
    cache that a training has mapped is never overwritten. Those of earlier states are left, and `outdated`
    finds them; delete them by hand when nothing trains on them. Two processes may call this at once; the
    second waits for the first. Killed at any moment, a build goes on from the last pair that it wrote. A
    finished cache may lie where this user cannot write.

    Args:
        pairs: Pairs to decode. Those with a broken file or an empty mask are left out and reported.
        size: Side of the cached images in pixels.
        directory: Gets the folder of the cache; the data set itself is not written to.
        workers: Decoding threads (Pillow decodes outside Python's lock); None for one per usable core.
        progress: Show a progress bar.
        geometry: How the images come into the square.
        preprocessing: What is done to the images there: names in `dermseg.data.preprocessing.table`.
        verify: Read the pixels of a cache that is there, and build it anew if they are damaged.

    Raises:
        ConfigError: The geometry or a preprocessing step is unknown, or the size is not positive.
        DataError: No pair is usable, the folder cannot be written, or the disk is full.
    """
    if size < 1:
        raise ConfigError(f"size is {size}; it is the side of the images in pixels, at least 1")
    plan = {
        "version": VERSION,
        "size": size,
        "geometry": check_geometry(geometry),
        "preprocessing": check_steps(preprocessing),
        "sources": [_source(pair) for pair in pairs],
    }
    directory = directory / _digest(json.dumps(plan))
    try:
        cache = None if verify else _load(directory, plan)
        if cache is None:
            cache = _load_or_build(pairs, plan, directory, workers or usable_cores(), progress, verify)
    except OSError as error:
        raise DataError(
            f"{directory} cannot hold the cache ({error}); free space or name another folder."
        ) from error
    if cache is None or not cache.identifiers:
        raise DataError(
            f"None of the {len(pairs)} pairs is usable. {_summary(cache.problems if cache else ())}"
        )
    return cache


def outdated(cache: Cache) -> list[Path]:
    """Find the folders of caches like this one that were made from other files or by another version."""
    others = []
    for path in sorted(cache.directory.parent.glob(f"*/{INDEX}")):
        index = read_json(path) or {}
        made = [index.get("size"), index.get("geometry"), index.get("preprocessing", [])]
        alike = made == [cache.size, cache.geometry, [*cache.preprocessing]]
        if alike and path.parent != cache.directory:
            others.append(path.parent)
    return others


def _load_or_build(
    pairs: Sequence[Pair], plan: dict[str, Any], directory: Path, workers: int, progress: bool, verify: bool
) -> Cache | None:
    directory.mkdir(parents=True, exist_ok=True)
    with _locked(directory, progress):
        # Another process may have finished it in the meantime.
        cache = _load(directory, plan, verify)
        if cache is None:
            build(pairs, plan, directory, workers, progress)
            cache = _load(directory, plan)
    return cache


@contextmanager
def _locked(directory: Path, progress: bool) -> Iterator[None]:
    """Hold the lock of a cache; say so where another process has it, which may take minutes."""
    lock = FileLock(directory / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if progress:
            Console(stderr=True).print("Another process is preparing this cache; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _load(directory: Path, plan: dict[str, Any], verify: bool = False) -> Cache | None:
    """Load the cache if it is complete and was made by this plan; `verify` its pixels too."""
    index = read_json(directory / INDEX)
    if index is None or {key: index.get(key) for key in plan} != plan:
        return None
    entries = index.get("entries")
    if not isinstance(entries, list) or not all(map(is_entry, entries)):
        return None
    usable, size = good(entries), plan["size"]
    if index.get("checksum") != content_checksum(entries) or not is_finished(directory, size, len(usable)):
        return None
    if verify and count_intact(directory, size, (entry["digest"] for entry in usable)) < len(usable):
        return None
    return Cache(
        directory=directory,
        size=size,
        identifiers=tuple(entry["identifier"] for entry in usable),
        original_sizes=tuple((entry["height"], entry["width"]) for entry in usable),
        problems=tuple(faults(entries)),
        geometry=plan["geometry"],
        preprocessing=tuple(plan["preprocessing"]),
        areas=tuple(Area(*entry["area"]) for entry in usable),
        checksum=index["checksum"],
    )


def _source(pair: Pair) -> list[str | int]:
    """Fingerprint the files of a pair; compared as JSON, so made of what JSON keeps."""
    image, mask = _stamp(pair.image), _stamp(pair.mask)
    # Path.resolve raises where links form a loop.
    return [pair.identifier, os.path.realpath(pair.image), *image, os.path.realpath(pair.mask), *mask]


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


def _summary(problems: Iterable[Problem]) -> str:
    return f"Found: {listing([f'{problem.path} {problem.reason}' for problem in problems], 3) or 'no pairs'}."
