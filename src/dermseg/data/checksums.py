"""Checksums of files, read in pieces so that a large archive needs little memory."""

import hashlib
from collections.abc import Callable
from pathlib import Path

PIECE = 1 << 20
"""Bytes read at a time."""


def silent(*_: object) -> None:
    """Take a report and do nothing with it."""


def matches(path: Path, checksum: str, report: Callable[[int], None] = silent) -> bool:
    """Say whether a file has a checksum.

    Args:
        path: The file.
        checksum: Algorithm and hexadecimal digest, such as `sha256:80f9...`.
        report: Called with the bytes read so far, after every piece.
    """
    algorithm, _, digest = checksum.partition(":")
    # MD5 is what some makers publish; it finds damage, which is all that is asked of it.
    hashed = hashlib.new(algorithm, usedforsecurity=False)
    done = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            hashed.update(piece)
            done += len(piece)
            report(done)
    return hashed.hexdigest() == digest.lower()
