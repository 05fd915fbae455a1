"""Files that are either complete or absent: written beside their destination, then renamed."""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; rename it to `path` when the block succeeds.

    The temporary name keeps the suffix of `path`, since writers choose their format by it. If the block
    raises, `path` is left as it was.

    Args:
        path: Destination. Missing parent folders are created.

    Yields:
        The temporary path to write to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp files are private to the user; results should have the permissions of any new file.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, completely or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write `value` to `path` as indented JSON, completely or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        # It holds the name of a file that is not UTF-8; escaped, the name is read back as it was.
        text = json.dumps(value, indent=2)
    write_text(path, text + "\n")


def copy(source: Path, path: Path) -> None:
    """Copy the file `source` to `path`, completely or not at all."""
    with replacing(path) as temporary:
        shutil.copyfile(source, temporary)


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None if there is no such file, or it holds something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, RecursionError):
        return None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return None  # a link that leads to itself
    return content if isinstance(content, dict) else None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sha256_of(path: Path) -> str:
    """Return the SHA-256 (hexadecimal) of a file's bytes.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
