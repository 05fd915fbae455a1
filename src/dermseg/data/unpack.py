"""Archives unpacked as if they came from an enemy: no path out of the folder, no links, no bombs."""

import lzma
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from dermseg.data.checksums import PIECE, silent
from dermseg.errors import DataError
from dermseg.files import write_json

MAX_FILES = 50_000
"""Files in an archive; the largest of the catalogue has 10,015."""

MAX_RATIO = 20
"""Bytes that an archive may unpack to, per byte of its own; images and masks are compressed already."""

MIN_ALLOWANCE = 64 << 20
"""Bytes that even a tiny archive may unpack to."""

_ENCRYPTED = 0x1
_UNSOUND = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError),
    UnicodeDecodeError,  # of the name of a file
)
"""What the reader of ZIP archives raises for damaged ones."""


def unpack(
    archive: Path,
    folder: Path,
    record: Path | None = None,
    report: Callable[[int, int], None] = silent,
) -> int:
    """Unpack a ZIP archive into a new folder, which appears when it is complete.

    If everything in the archive lies in one folder, that folder's content is taken. What macOS adds beside
    the files (`__MACOSX`, `._x`, `.DS_Store`) is left out. A run that was killed leaves `.FOLDER-unpacking`,
    which the next one replaces.

    Args:
        archive: The archive.
        folder: Folder to make; must not exist.
        record: Where to write size and CRC-32 of every file as JSON, for a later check.
        report: Called with the bytes written so far and in all.

    Returns:
        Number of files.

    Raises:
        DataError: The archive is damaged or not to be trusted, the folder exists, or the disk is full.
    """
    if folder.exists():
        raise DataError(f"{folder} exists already; move it away first.")
    unfinished = folder.with_name(f".{folder.name}-unpacking")
    try:
        with zipfile.ZipFile(archive) as opened:
            members = _members(opened, archive)
            _check_size([member for member, _ in members], archive)
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            _write(opened, members, unfinished, report)
        if record is not None:
            files = {str(path): [member.file_size, member.CRC] for member, path in members}
            write_json(record, {"archive": archive.name, "files": files})
        unfinished.rename(folder)
    except _UNSOUND as error:
        raise DataError(
            f"{archive} is not a sound ZIP archive ({error}); delete it and fetch it again."
        ) from error
    except OSError as error:
        raise DataError(f"{archive} cannot be unpacked into {folder} ({error}).") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return len(members)


def _members(archive: zipfile.ZipFile, path: Path) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """List the files of an archive with the paths they are unpacked to; refuse an archive with a bad one."""
    infos = archive.infolist()
    if len(infos) > MAX_FILES:
        raise DataError(f"{path} holds {len(infos):,} files, more than {MAX_FILES:,}; it is not unpacked.")
    named = [(info, _path(info, path)) for info in infos if not info.is_dir()]
    wanted = [
        (info, inside)
        for info, inside in named
        if "__MACOSX" not in inside.parts and not inside.name.startswith("._") and inside.name != ".DS_Store"
    ]
    tops = {inside.parts[0] for _, inside in wanted}
    if len(tops) == 1 and all(len(inside.parts) > 1 for _, inside in wanted):
        wanted = [(info, PurePosixPath(*inside.parts[1:])) for info, inside in wanted]
    # Two names that differ in case alone are one file on some systems.
    if len({str(inside).casefold() for _, inside in wanted}) < len(wanted):
        raise DataError(f"{path} holds two files of one name; it is not unpacked.")
    return wanted


def _path(info: zipfile.ZipInfo, archive: Path) -> PurePosixPath:
    """Return where a member may go; refuse names that lead elsewhere, links and encrypted members."""
    inside = PurePosixPath(info.filename)
    kind = stat.S_IFMT(info.external_attr >> 16)
    reason = ""
    if inside.is_absolute() or ".." in inside.parts or not inside.parts:
        reason = "leads out of the folder"
    elif any(character in info.filename for character in "\\:\0"):
        reason = "has a name that means something else on other systems"
    elif kind not in (0, stat.S_IFREG):
        reason = "is a link or a device"
    elif info.flag_bits & _ENCRYPTED:
        reason = "is encrypted"
    if reason:
        raise DataError(f"{archive} is not unpacked: {info.filename!r} in it {reason}.")
    return inside


def _check_size(members: list[zipfile.ZipInfo], archive: Path) -> None:
    """Refuse bombs, and what the disk cannot hold. Python unpacks no member beyond the size it declares."""
    total = sum(member.file_size for member in members)
    allowed = max(MAX_RATIO * archive.stat().st_size, MIN_ALLOWANCE)
    if total > allowed:
        raise DataError(
            f"{archive} would unpack to {total:,} bytes, more than the {allowed:,} that such a file "
            "may hold; it is not unpacked."
        )
    free = shutil.disk_usage(archive.parent).free
    if total > free:
        raise DataError(f"{archive} unpacks to {total:,} bytes and {free:,} are free; make room first.")


def _write(
    archive: zipfile.ZipFile,
    members: list[tuple[zipfile.ZipInfo, PurePosixPath]],
    folder: Path,
    report: Callable[[int, int], None],
) -> None:
    done, total = 0, sum(member.file_size for member, _ in members)
    for member, inside in members:
        target = folder / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, PIECE)
        done += member.file_size
        report(done, total)
