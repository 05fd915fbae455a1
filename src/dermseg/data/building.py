"""Building a cache: pairs decoded in parallel and written row by row, so that a killed build can go on.

While a cache is built, `building.jsonl` gets one line for every pair done, after its pixels were written. The
index is written last.
"""

import io
import json
import math
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress

from dermseg.data.images import read_image, read_mask, resize_image, resize_mask
from dermseg.data.pairs import Pair, Problem, reason_of, size_mismatch
from dermseg.errors import DataError
from dermseg.files import write_json

Entry = dict[str, Any]
"""What became of a pair: its identifier, and its original size or the file at fault and the reason."""


def build(pairs: Sequence[Pair], plan: dict[str, Any], directory: Path, workers: int, progress: bool) -> None:
    """Decode what is not decoded yet, then write the index.

    Args:
        pairs: Pairs to decode.
        plan: What the cache is made from and how; its `size` is the side in pixels.
        directory: Folder of the cache, used under this plan alone.
        workers: Number of decoding threads.
        progress: Show a progress bar.

    Raises:
        DataError: The disk has too little space.
    """
    size: int = plan["size"]
    done = _resume(size, directory)
    _check_space(directory, size, len(pairs) - len(done))
    with (
        (directory / "images.npy").open("r+b") as images,
        (directory / "masks.npy").open("r+b") as masks,
        (directory / "building.jsonl").open("a", encoding="utf-8") as journal,
        Progress(disable=not progress) as bar,
    ):
        files = {images: (size, size, 3), masks: (size, size)}
        for file, shape in files.items():
            # A kill between pixels and their line leaves a row that nobody vouches for.
            file.truncate(_file_size(len(good(done)), shape))
            file.seek(0, os.SEEK_END)
        task = bar.add_task(f"Preparing {size} px", total=len(pairs), completed=len(done))
        for entry, image, mask in decoded(pairs[len(done) :], size, workers):
            if image is not None and mask is not None:
                images.write(image.data)
                masks.write(mask.data)
                images.flush()
                masks.flush()
            journal.write(json.dumps(entry) + "\n")
            journal.flush()
            done.append(entry)
            bar.advance(task)
        for file, shape in files.items():
            file.seek(0)
            file.write(_header(len(good(done)), shape))
            file.flush()
            os.fsync(file.fileno())
    write_json(directory / "index.json", {**plan, "entries": done})
    (directory / "building.jsonl").unlink()


def _resume(size: int, directory: Path) -> list[Entry]:
    """Read which pairs an interrupted build has done; where nothing is left of one, begin a new build."""
    journal = directory / "building.jsonl"
    if journal.exists():
        done = _entries(journal.read_bytes())
        if has_rows(directory, len(good(done)), size):
            journal.write_text("".join(json.dumps(entry) + "\n" for entry in done), encoding="utf-8")
            return done
    # New files, not emptied ones: another process may still have the old ones mapped.
    for name in ("index.json", "building.jsonl", "images.npy", "masks.npy"):
        (directory / name).unlink(missing_ok=True)
    (directory / "images.npy").write_bytes(_header(0, (size, size, 3)))
    (directory / "masks.npy").write_bytes(_header(0, (size, size)))
    journal.touch()
    return []


def _entries(journal: bytes) -> list[Entry]:
    """Parse the lines of a journal up to the first that is damaged or cut off."""
    done: list[Entry] = []
    with suppress(ValueError):
        for line in journal.splitlines():
            done.append(json.loads(line))
    return done


def decoded(
    pairs: Sequence[Pair], size: int, workers: int
) -> Iterator[tuple[Entry, NDArray[np.uint8] | None, NDArray[np.uint8] | None]]:
    """Decode pairs in parallel and yield them in order, with few in memory at a time.

    Yields:
        What became of the pair; its image (size, size, 3) and its mask (size, size), None if it is at fault.
    """
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


def _decode(pair: Pair, size: int) -> tuple[Entry, NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
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


def _fault(pair: Pair, path: Path, reason: str) -> Entry:
    return {"identifier": pair.identifier, "path": str(path.absolute()), "reason": reason}


def good(entries: Iterable[Entry]) -> list[Entry]:
    """Choose the entries of pairs that were decoded; each has a row, in this order."""
    return [entry for entry in entries if "height" in entry]


def faults(entries: Iterable[Entry]) -> list[Problem]:
    """Choose the entries of pairs that could not be decoded, as problems."""
    return [Problem(Path(entry["path"]), entry["reason"]) for entry in entries if "path" in entry]


def usable_cores() -> int:
    """Count the cores that this process may use: as many threads decode."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _header(rows: int, shape: tuple[int, ...]) -> bytes:
    """Write the header of an npy file of `rows` uint8 arrays.

    NumPy pads headers so that the first axis can grow in place: their length is the same for any number
    of rows, and the true number can be filled in last.
    """
    buffer = io.BytesIO()
    description = {"descr": "|u1", "fortran_order": False, "shape": (rows, *shape)}
    np.lib.format.write_array_header_1_0(buffer, description)
    return buffer.getvalue()


def _file_size(rows: int, shape: tuple[int, ...]) -> int:
    return len(_header(rows, shape)) + rows * math.prod(shape)


def has_rows(directory: Path, rows: int, size: int) -> bool:
    """Say whether both files have at least this many rows; files cut short have lost pixels."""
    shapes = {"images.npy": (size, size, 3), "masks.npy": (size, size)}
    return all(
        (directory / name).exists() and (directory / name).stat().st_size >= _file_size(rows, shape)
        for name, shape in shapes.items()
    )


def _check_space(directory: Path, size: int, count: int) -> None:
    needed, free = count * size * size * 4, shutil.disk_usage(directory).free
    if needed > free:
        raise DataError(
            f"{directory} has {free / 1e9:.1f} GB free, the cache needs {needed / 1e9:.1f} GB; "
            "free space or name another folder."
        )
