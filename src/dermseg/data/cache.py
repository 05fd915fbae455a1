"""Data sets decoded once: images and masks of one size in flat files that training maps into memory.

A cache is a folder with `images.npy`, `masks.npy` and `index.json`. The index is written last, so a folder
without it is not a cache. While one is built, `building.json` says from which files, and `building.jsonl`
gets one line for every pair done, after its pixels were written: a build that was killed goes on from there.
"""

import hashlib
import json
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from rich.progress import Progress

from dermseg.data.images import read_image, read_mask, resize_image, resize_mask
from dermseg.data.pairs import Pair, Problem, listing, reason_of, size_mismatch
from dermseg.errors import DataError
from dermseg.files import write_json

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


def default_directory(data: Path, size: int) -> Path:
    """Name the cache folder of a data set at a size, below the user's cache folder.

    Args:
        data: Folder of the data set (or any path that stands for it).
        size: Side of the cached images in pixels.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    key = hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:12]
    return root / "dermseg" / "data" / f"{data.resolve().name}-{key}-{size}px"


def prepare(
    pairs: Sequence[Pair],
    size: int,
    directory: Path,
    workers: int | None = None,
    progress: bool = False,
) -> Cache:
    """Give the cache of the pairs at a size: the one in `directory` if it is up to date, or a new one.

    A cache is up to date when it was made from the same files, unchanged in size and modification time.
    Two processes may call this at once; the second waits for the first.

    Args:
        pairs: Pairs to decode. Those with a broken file or an empty mask are left out and reported.
        size: Side of the cached images in pixels; the whole frame is squashed to a square.
        directory: Folder of the cache; the data set itself is not written to.
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
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with FileLock(directory / "lock"):
            cache = _load(directory, plan)
            if cache is None:
                _build(pairs, plan, directory, workers or _cores(), progress)
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


def _build(
    pairs: Sequence[Pair], plan: dict[str, Any], directory: Path, workers: int, progress: bool
) -> None:
    """Decode what is not decoded yet, then write the index."""
    size: int = plan["size"]
    journal = directory / "building.jsonl"
    done = _resume(plan, directory)
    _check_space(directory, size, len(pairs) - len(done))
    with (
        (directory / "images.npy").open("r+b") as images,
        (directory / "masks.npy").open("r+b") as masks,
        journal.open("a", encoding="utf-8") as lines,
        Progress(disable=not progress) as bar,
    ):
        kept = sum("height" in entry for entry in done)
        # A kill between the pixels and their line leaves rows that nobody vouches for.
        images.truncate(_header(images, (kept, size, size, 3)) + kept * size * size * 3)
        masks.truncate(_header(masks, (kept, size, size)) + kept * size * size)
        images.seek(0, os.SEEK_END)
        masks.seek(0, os.SEEK_END)
        task = bar.add_task(f"Preparing {size} px", total=len(pairs), completed=len(done))
        for entry, image, mask in _decoded(pairs[len(done) :], size, workers):
            if image is not None and mask is not None:
                images.write(image.data)
                masks.write(mask.data)
                images.flush()
                masks.flush()
            lines.write(json.dumps(entry) + "\n")
            lines.flush()
            done.append(entry)
            bar.advance(task)
        kept = sum("height" in entry for entry in done)
        _header(images, (kept, size, size, 3))
        _header(masks, (kept, size, size))
    write_json(directory / "index.json", {**plan, "entries": done})
    journal.unlink()
    (directory / "building.json").unlink()


def _resume(plan: dict[str, Any], directory: Path) -> list[dict[str, Any]]:
    """Read which pairs an interrupted build of the same plan has done; otherwise begin a new build."""
    journal = directory / "building.jsonl"
    if _read_json(directory / "building.json") == plan and journal.exists():
        lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
        # The last line may be cut off.
        whole = [line for line in lines if line.endswith("\n")]
        journal.write_text("".join(whole), encoding="utf-8")
        return [json.loads(line) for line in whole]
    # New files, not emptied ones: another process may still have the old ones mapped.
    for name in ("index.json", "building.json", "building.jsonl", "images.npy", "masks.npy"):
        (directory / name).unlink(missing_ok=True)
    for name in ("images.npy", "masks.npy", "building.jsonl"):
        (directory / name).touch()
    write_json(directory / "building.json", plan)
    return []


def _decoded(
    pairs: Sequence[Pair], size: int, workers: int
) -> Iterator[tuple[dict[str, Any], NDArray[np.uint8] | None, NDArray[np.uint8] | None]]:
    """Decode pairs in parallel and yield them in order, with few in memory at a time."""
    with ThreadPoolExecutor(workers) as pool:
        remaining = iter(pairs)
        waiting = deque(pool.submit(_decode, pair, size) for pair in islice(remaining, 4 * workers))
        try:
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(_decode, pair, size) for pair in islice(remaining, 1))
        finally:
            for future in waiting:
                future.cancel()


def _decode(
    pair: Pair, size: int
) -> tuple[dict[str, Any], NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
    """Decode one pair; the entry says either its original size, or which file is at fault and why."""
    path = pair.image
    try:
        image = read_image(path)
        path = pair.mask
        mask = read_mask(path)
    except DataError as error:
        return _fault(pair, path, reason_of(error, path)), None, None
    height, width = image.shape[:2]
    if mask.shape != (height, width):
        return _fault(pair, path, size_mismatch((height, width), (mask.shape[0], mask.shape[1]))), None, None
    if not mask.any():
        return _fault(pair, path, "marks no lesion (the mask is empty), so the pair is left out"), None, None
    entry = {"identifier": pair.identifier, "height": height, "width": width}
    return entry, resize_image(image, size), resize_mask(mask, size).astype(np.uint8)


def _fault(pair: Pair, path: Path, reason: str) -> dict[str, Any]:
    return {"identifier": pair.identifier, "path": str(path), "reason": reason}


def _load(directory: Path, plan: dict[str, Any]) -> Cache | None:
    """Load the cache if it is complete and was made by this plan."""
    index = _read_json(directory / "index.json")
    if index is None or {key: index.get(key) for key in plan} != plan:
        return None
    good = [entry for entry in index["entries"] if "height" in entry]
    problems = [
        Problem(Path(entry["path"]), entry["reason"]) for entry in index["entries"] if "path" in entry
    ]
    return Cache(
        directory=directory,
        size=index["size"],
        identifiers=tuple(entry["identifier"] for entry in good),
        original_sizes=tuple((entry["height"], entry["width"]) for entry in good),
        problems=tuple(problems),
    )


def _source(pair: Pair) -> list[str | int]:
    """Fingerprint the files of a pair; compared as JSON, so made of what JSON keeps."""
    image, mask = _stamp(pair.image), _stamp(pair.mask)
    return [pair.identifier, str(pair.image), *image, str(pair.mask), *mask]


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        # Gone since it was listed: decoding will say so.
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)


def _header(file: BinaryIO, shape: tuple[int, ...]) -> int:
    """Write the header of an npy file of this shape, uint8; give its length.

    NumPy pads headers so that the first axis can grow in place: their length is the same for any number
    of rows.
    """
    file.seek(0)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.tell()


def _mapped(path: Path) -> NDArray[np.uint8]:
    mapped: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return mapped


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _check_space(directory: Path, size: int, count: int) -> None:
    needed, free = count * size * size * 4, shutil.disk_usage(directory).free
    if needed > free:
        raise DataError(
            f"{directory} has {free / 1e9:.1f} GB free, the cache needs {needed / 1e9:.1f} GB; "
            "free space or name another folder."
        )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _summary(problems: Iterable[Problem]) -> str:
    return f"Found: {listing([f'{problem.path} {problem.reason}' for problem in problems], 3) or 'no pairs'}."
