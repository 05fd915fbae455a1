"""Data sets of the catalogue, fetched, checked and unpacked to where the readers expect them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from dermseg.console import say
from dermseg.data.catalogue.entries import Entry, RemoteFile
from dermseg.data.catalogue.table import by_hand, size_of
from dermseg.data.checksums import matches
from dermseg.data.readers import image_files, official_folder
from dermseg.data.transfer import Patience, UnreachableError, fetch
from dermseg.data.unpack import unpack
from dermseg.errors import DataError

RECORDS = ".dermseg"
"""Folder, in that of a data set, with size and CRC-32 of every file that was unpacked."""


def download(entry: Entry, out: Path, console: Console, patience: Patience | None = None) -> None:
    """Fetch every file of a data set that is not there yet, check it and unpack it.

    An archive that lies in `out` under its official name is checked and unpacked without a network. Once
    unpacked, it is deleted. After a kill at any point, the same call goes on.

    Args:
        entry: The data set.
        out: Folder that receives the official folders.
        console: Where to say what is done.
        patience: Timeouts and attempts of the download.

    Raises:
        DataError: The data set cannot be downloaded, or some of its files could not be had
            (the others are there).
    """
    if not entry.files:
        raise DataError(
            f"{entry.name} ({entry.title}) cannot be downloaded by a program:\n{by_hand(entry, (), out)}\n"
            f"`dermseg data verify {out}` then checks what you have."
        )
    _announce(entry, out, console)
    out.mkdir(parents=True, exist_ok=True)
    failures = []
    with _alone(out):
        for file in entry.files:
            try:
                _provide(file, out, console, patience)
            except KeyboardInterrupt:
                say(console, "Interrupted; the same command goes on from here.")
                raise
            except DataError as error:
                failures.append(str(error))
                if isinstance(error, UnreachableError):
                    break
        missing = [file for file in entry.files if _is_missing(file, out)]
    if failures:
        raise DataError("\n".join([*failures, *([by_hand(entry, missing, out)] if missing else [])]))
    say(console, f"{entry.pairs:,} images with masks are in {out}. Next: dermseg data check {out}")


def _is_there(file: RemoteFile, out: Path) -> bool:
    """Say whether a file is in place, unpacked if it is an archive."""
    if file.folder is None:
        return (out / file.name).is_file()
    return len(image_files(official_folder(out, file.folder))) == file.images


def _is_missing(file: RemoteFile, out: Path) -> bool:
    """Say whether nothing of that name is there, be it right or wrong."""
    return not (out / file.name).exists() and not (file.folder and (out / file.folder).exists())


def _announce(entry: Entry, out: Path, console: Console) -> None:
    """Say what comes, how much, and under which licence, before anything is fetched."""
    note = f" ({entry.licence_note})" if entry.licence_note else ""
    say(console, f"{entry.title}: {entry.pairs:,} images with masks, {size_of(entry)} to download into {out}")
    say(console, f"Licence: {entry.licence}{note}")
    say(console, f"Cite: {' | '.join(entry.citation)}")


def _provide(file: RemoteFile, out: Path, console: Console, patience: Patience | None) -> None:
    """Put one file in place: from what is there, else from its makers."""
    archive = out / file.name
    folder = out / file.folder if file.folder else None
    record = out / RECORDS / f"{file.folder}.json"
    if folder is not None and _is_there(file, out):
        say(console, f"{file.name}: there already")
        if record.exists():
            # A run that was killed between unpacking and deleting leaves it.
            archive.unlink(missing_ok=True)
        return
    if folder is not None and folder.exists():
        raise DataError(
            f"{folder} holds {len(image_files(official_folder(out, folder.name))):,} images instead of "
            f"{file.images:,}; move it away and run again."
        )
    with _Shown(file.name, console) as shown:
        if archive.exists():
            _check_found(file, archive, shown)
        else:
            fetch(file, archive, shown, patience)
        if folder is not None:
            unpack(archive, folder, record, shown.unpacked)
    if not _is_there(file, out):
        raise DataError(f"{archive} lacks some of its {file.images:,} images; fetch it again.")
    if folder is not None:
        archive.unlink()
    say(console, f"{file.name}: done")


def _check_found(file: RemoteFile, archive: Path, shown: "_Shown") -> None:
    """Check a file that somebody else put there."""
    size = archive.stat().st_size
    right = file.size in (None, size)
    if right and file.checksum is not None:
        right = matches(archive, file.checksum, lambda done: shown.checked(done, size))
    if not right:
        raise DataError(
            f"{archive} is not the official file (another size or checksum); move it away and run "
            "again to fetch it."
        )


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep a second download out of the same folder."""
    (out / RECORDS).mkdir(exist_ok=True)
    lock = FileLock(out / RECORDS / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise DataError(f"another `dermseg data download` is writing to {out}; wait for its end.") from error
    try:
        yield
    finally:
        lock.release()


class _Shown:
    """A progress bar for one file; on a console without cursor, only what goes wrong is printed."""

    def __init__(self, name: str, console: Console) -> None:
        self._name = name
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(name, total=None)
        self._doing = ""

    def __enter__(self) -> "_Shown":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def moved(self, done: int, total: int | None) -> None:
        """Show how much has arrived."""
        self._show("fetching", done, total)

    def checked(self, done: int, total: int) -> None:
        """Show how much has been compared with the checksum."""
        self._show("checking", done, total)

    def unpacked(self, done: int, total: int) -> None:
        """Show how much has been unpacked."""
        self._show("unpacking", done, total)

    def retries(self, reason: str, attempt: int, attempts: int) -> None:
        """Say why another attempt follows."""
        say(self._console, f"{self._name}: {reason}; attempt {attempt} of {attempts} follows")

    def _show(self, doing: str, done: int, total: int | None) -> None:
        if doing != self._doing:
            # A new task starts its own clock, and so its own speed.
            self._bar.remove_task(self._task)
            self._task = self._bar.add_task(f"{doing} {self._name}", total=total, completed=done)
            self._doing = doing
        self._bar.update(self._task, completed=done, total=total)
