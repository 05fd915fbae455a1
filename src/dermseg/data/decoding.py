"""Pairs decoded and worked on in parallel, in order, with a bound on the memory that takes."""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from threading import Condition
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dermseg.data.geometry import Geometry, place
from dermseg.data.images import read_mask, read_resized, read_size, resize_mask
from dermseg.data.pairs import Pair, Problem, reason_of, size_mismatch
from dermseg.data.preprocessing.table import preprocess
from dermseg.errors import DataError

Entry = dict[str, Any]
"""What became of a pair: its `identifier`, and either its original `height` and `width` and the `area` (top,
left, height, width) of the square that shows it, or the `path` of the file at fault and the `reason`."""

Decoded = tuple[Entry, NDArray[np.uint8] | None, NDArray[np.uint8] | None]

PIXELS_AT_ONCE = 64_000_000
"""Pixels of the files that are decoded at a time, however many threads there are: about 0.5 GB, since Pillow
takes four bytes for a pixel and an image may have to be turned or converted; 0.8 GB where pairs are measured.
"""

THREADS = 6
"""Most threads that decode. Each keeps up to 64 MB of what it has freed, as glibc allocates."""

_Found = TypeVar("_Found")


class PixelBudget:
    """Lets threads hold no more pixels at once than given; one image, however large, always may be held."""

    def __init__(self, pixels: int) -> None:
        self._pixels = self._free = pixels
        self._changed = Condition()

    @contextmanager
    def hold(self, path: Path) -> Iterator[None]:
        """Wait until the pixels of an image file are free, and hold them for a block.

        Raises:
            DataError: The size cannot be read from the file.
        """
        pixels = min(math.prod(read_size(path)), self._pixels)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()


def decoded(
    pairs: Sequence[Pair],
    size: int,
    workers: int,
    geometry: Geometry = "squash",
    steps: Sequence[str] = (),
) -> Iterator[Decoded]:
    """Decode pairs in parallel and give them in order, with few in memory at a time.

    Args:
        pairs: Pairs to decode.
        size: Side of the results in pixels.
        workers: Number of threads, of which `THREADS` at most are used; Pillow decodes outside Python's lock.
        geometry: How images and masks come into the square.
        steps: What is done to the images there: names in `dermseg.data.preprocessing.table`.

    Returns:
        Of each pair: what became of it; its image (size, size, 3) and its mask (size, size) of 0 and 1, None
        if it is at fault.
    """

    def decode(pair: Pair, budget: PixelBudget) -> Decoded:
        return _decode(pair, size, geometry, steps, budget)

    return in_order(pairs, decode, workers)


def in_order(
    pairs: Iterable[Pair], work: Callable[[Pair, PixelBudget], _Found], workers: int
) -> Iterator[_Found]:
    """Do the same with pairs in parallel, and yield what comes of each in their order.

    Args:
        pairs: Pairs to work on; few are begun before their turn.
        work: Takes a pair, and the budget by which it is to hold the pixels of a file while it has them.
        workers: Number of threads, of which `THREADS` at most are used; Pillow decodes outside Python's lock.

    Raises:
        Exception: What `work` raises; what has not begun then does not begin.
    """
    budget = PixelBudget(PIXELS_AT_ONCE)
    threads = min(workers, THREADS)
    with ThreadPoolExecutor(threads) as pool:
        tasks = (pool.submit(work, pair, budget) for pair in pairs)
        waiting = deque(islice(tasks, 4 * threads))
        try:
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(islice(tasks, 1))
        finally:
            for future in waiting:
                future.cancel()


def good(entries: Iterable[Entry]) -> list[Entry]:
    """Choose the entries of pairs that were decoded; each has a row, in this order."""
    return [entry for entry in entries if "height" in entry]


def faults(entries: Iterable[Entry]) -> list[Problem]:
    """Choose the entries of pairs that could not be decoded, as problems."""
    return [Problem(Path(entry["path"]), entry["reason"]) for entry in entries if "path" in entry]


def usable_cores() -> int:
    """Count the cores that this process may use: as many threads decode."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _decode(pair: Pair, size: int, geometry: Geometry, steps: Sequence[str], budget: PixelBudget) -> Decoded:
    path = pair.image
    try:
        with budget.hold(path):
            image, (height, width) = read_resized(path, size, geometry)
        path = pair.mask
        with budget.hold(path):
            mask = read_mask(path)
    except DataError as error:
        return _fault(pair, path, reason_of(error, path))
    if mask.shape != (height, width):
        return _fault(pair, path, size_mismatch((height, width), (mask.shape[0], mask.shape[1])))
    placement = place(height, width, size, geometry)
    if not mask[placement.source.slices].any():
        where = (
            "marks no lesion in the middle square" if mask.any() else "marks no lesion (the mask is empty)"
        )
        return _fault(pair, path, f"{where}, so the pair is left out; outline the lesion if there is one")
    entry = {"identifier": pair.identifier, "height": height, "width": width, "area": [*placement.target]}
    return entry, preprocess(image, steps), resize_mask(mask, size, geometry).astype(np.uint8)


def _fault(pair: Pair, path: Path, reason: str) -> Decoded:
    return {"identifier": pair.identifier, "path": str(path.absolute()), "reason": reason}, None, None
