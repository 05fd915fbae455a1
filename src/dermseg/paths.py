"""Paths as users give them: any name to print, any folder to write to."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from dermseg.errors import DataError

_HALVES = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")
"""Surrogates, but for those by which Python keeps the bytes of a name."""


def printable(text: str | Path) -> str:
    """Write a path, or a text with paths in it, as valid UTF-8.

    File systems allow names that are no text, and JSON half of a character; bytes that cannot be decoded, and
    such halves, become a replacement character.
    """
    whole = _HALVES.sub("\N{REPLACEMENT CHARACTER}", str(text))
    return os.fsencode(whole).decode("utf-8", errors="replace")


def require_writable(folder: Path) -> None:
    """Make an output folder, and find out that it cannot be written before the work instead of after it.

    Raises:
        DataError: The folder cannot be made, or no file can be written in it.
    """
    with _named(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _try(folder)


def check_writable(folder: Path) -> None:
    """Find out as `require_writable` does, but make nothing: other mistakes may yet stop the work.

    Raises:
        DataError: The folder cannot be made, or no file can be written in it.
    """
    with _named(folder):
        _try(next(path for path in (folder, *folder.absolute().parents) if path.exists()))


def _try(folder: Path) -> None:
    with TemporaryFile(dir=folder):
        pass


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"The output folder {printable(folder)} cannot be written ({error.strerror or error}); "
            "choose another with --out."
        ) from error
