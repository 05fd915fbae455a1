"""The two pixel files of a cache: `images.npy` (N, 3, size, size) and `masks.npy`, packed, both uint8.

Rows are appended one by one, and the number of rows is written into the headers last. Channels come first, as
networks take them: a batch is then nothing but rows copied from the file.
"""

import hashlib
import io
import math
import os
import shutil
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from dermseg.data.packed import packed_bytes
from dermseg.errors import DataError

IMAGES, MASKS = "images.npy", "masks.npy"


def mapped(directory: Path, name: str) -> NDArray[np.uint8]:
    """Map one of the finished files into memory, read-only."""
    rows: NDArray[np.uint8] = np.load(directory / name, mmap_mode="r")
    return rows


class RowWriter:
    """Appends pairs to both files; a context manager that closes them.

    Args:
        directory: Folder of the cache. Files that are not there are begun.
        size: Side of images and masks in pixels.
        rows: Rows to keep; what follows them in the files is dropped.
    """

    def __init__(self, directory: Path, size: int, rows: int) -> None:
        self._shapes = _shapes(size)
        self._files: dict[str, BinaryIO] = {}
        with ExitStack() as stack:
            for name, shape in self._shapes.items():
                path = directory / name
                if not path.exists():
                    path.write_bytes(_header(0, shape))
                file = stack.enter_context(path.open("r+b"))
                file.truncate(_file_size(rows, shape))
                file.seek(0, os.SEEK_END)
                self._files[name] = file
            # Closed here only if one of them could not be opened.
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def append(self, image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> str:
        """Write one pair.

        Args:
            image: (size, size, 3), uint8.
            mask: (size, size), uint8, 0 or 1.

        Returns:
            Digest of the pixels, by which `count_intact` finds them damaged.
        """
        rows = {IMAGES: np.ascontiguousarray(image.transpose(2, 0, 1)), MASKS: np.packbits(mask)}
        digest = hashlib.sha256()
        for name, row in rows.items():
            self._files[name].write(row.data)
            self._files[name].flush()
            digest.update(row.data)
        return digest.hexdigest()

    def finish(self, rows: int) -> None:
        """Write the number of rows into the headers, and everything to the disk."""
        for name, file in self._files.items():
            file.seek(0)
            file.write(_header(rows, self._shapes[name]))
            file.flush()
            os.fsync(file.fileno())


def is_finished(directory: Path, size: int, rows: int) -> bool:
    """Say whether both files have the header of this many rows, and the rows: one cut short lost pixels."""
    for name, shape in _shapes(size).items():
        path, header = directory / name, _header(rows, shape)
        if not path.is_file() or path.stat().st_size < _file_size(rows, shape):
            return False
        with path.open("rb") as file:
            if file.read(len(header)) != header:
                return False
    return True


def count_intact(directory: Path, size: int, digests: Iterable[str]) -> int:
    """Count the rows, from the first on, whose pixels are those that were written.

    Args:
        directory: Folder of the cache.
        size: Side of images and masks in pixels.
        digests: What `RowWriter.append` returned for each row.
    """
    count = 0
    if not all((directory / name).is_file() for name in _shapes(size)):
        return count
    with ExitStack() as stack:
        files = []
        for name, shape in _shapes(size).items():
            file = stack.enter_context((directory / name).open("rb"))
            file.seek(_file_size(0, shape))
            files.append((file, math.prod(shape)))
        for expected in digests:
            digest = hashlib.sha256()
            for file, length in files:
                digest.update(file.read(length))
            if digest.hexdigest() != expected:
                break
            count += 1
    return count


def check_space(directory: Path, size: int, rows: int) -> None:
    """Make sure that this many further rows fit onto the disk.

    Raises:
        DataError: They do not.
    """
    needed = rows * sum(map(math.prod, _shapes(size).values()))
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise DataError(
            f"{directory} has {free / 1e9:.1f} GB free, the cache needs {needed / 1e9:.1f} GB; "
            "free space or name another folder."
        )


def _shapes(size: int) -> dict[str, tuple[int, ...]]:
    """Shape of a row of each file."""
    return {IMAGES: (3, size, size), MASKS: (packed_bytes(size),)}


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
