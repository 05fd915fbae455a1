"""What a folder holds of a data set of the catalogue, as archives or unpacked, and whether it is right."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import Progress

from dermseg.console import say
from dermseg.data.catalogue.entries import NAMES, Entry, RemoteFile, entries, load_entry
from dermseg.data.checksums import PIECE, matches, silent
from dermseg.data.download import RECORDS
from dermseg.data.pairs import listing
from dermseg.data.readers import detect_layout, image_files, official_folder, read_collection
from dermseg.errors import DataError
from dermseg.files import read_json

State = Literal["good", "unsure", "missing", "wrong"]
"""`unsure`: nothing contradicts the file, and nothing public vouches for its content either."""

Report = Callable[[str, int, int], None]
"""Is told what is being read, how many of its bytes (of a folder: files) are done, and of how many."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one file of a data set."""

    name: str
    state: State
    detail: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What a folder holds of a data set."""

    entry: Entry
    findings: tuple[Finding, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing and nothing is wrong."""
        return all(finding.state in ("good", "unsure") for finding in self.findings)


def verify(path: Path, name: str | None = None, report: Report = silent) -> Verification:
    """Compare a folder, or one archive, with the catalogue.

    Args:
        path: Folder with official archives or the folders they unpack to, or one official archive.
        name: Which data set it should be; by default the one that fits best.
        report: Is told about the reading of large files.

    Raises:
        ConfigError: There is no data set of that name.
        DataError: The path does not exist, or nothing of a known data set is there.
    """
    if path.is_file():
        return _verify_archive(path, name, report)
    if not path.is_dir():
        raise DataError(f"{path} does not exist; give a folder, or an archive, of a data set.")
    entry = load_entry(name) if name is not None else _recognised(path)
    if entry.files:
        findings = [_examine(file, path, report) for file in entry.files]
    else:
        findings = [_count_pairs(entry, path)]
    return Verification(entry, tuple(findings))


def _verify_archive(path: Path, name: str | None, report: Report) -> Verification:
    """Compare a single archive with the one of its name in the catalogue."""
    among = entries() if name is None else (load_entry(name),)
    for entry in among:
        for file in entry.files:
            if file.name == path.name:
                return Verification(entry, (_archive(file, path, report),))
    raise DataError(
        f"{path} has the name of no file of {name or 'the catalogue'}; `dermseg data show NAME` "
        "lists the names."
    )


def _recognised(path: Path) -> Entry:
    """Name the data set most of whose files are in a folder."""
    found = {
        entry.name: sum(
            (path / file.name).exists() or _unpacked(file, path) is not None for file in entry.files
        )
        for entry in entries()
    }
    best = [name for name, count in found.items() if count and count == max(found.values())]
    if len(best) > 1:
        raise DataError(f"{path} holds files of {listing(best)}; choose one with --name.")
    if best:
        return load_entry(best[0])
    try:
        layout = detect_layout(path)
    except DataError as error:
        raise DataError(
            f"{path} holds nothing of {', '.join(NAMES)}, or not under the official names. {error}"
        ) from error
    return next(entry for entry in entries() if entry.layout == layout)


def _examine(file: RemoteFile, path: Path, report: Report) -> Finding:
    """Say whether a file of a data set is there, as an archive or unpacked."""
    folder = _unpacked(file, path)
    if folder is not None:
        return _folder(file, folder, path / RECORDS / f"{file.folder}.json", report)
    if (path / file.name).is_file():
        return _archive(file, path / file.name, report)
    partial = path / f"{file.name}.part"
    begun = f"; {partial.stat().st_size:,} bytes of it have arrived" if partial.is_file() else ""
    return Finding(file.name, "missing", f"is not there{begun}")


def _unpacked(file: RemoteFile, path: Path) -> Path | None:
    """Return the folder that an archive was unpacked to."""
    folder = official_folder(path, file.folder) if file.folder is not None else None
    return folder if folder is not None and folder.is_dir() else None


def _archive(file: RemoteFile, path: Path, report: Report) -> Finding:
    size = path.stat().st_size
    if file.size not in (None, size):
        return Finding(file.name, "wrong", f"has {size:,} bytes instead of {file.size:,}; fetch it again")
    if file.checksum is None:
        return Finding(file.name, "unsure", "is there; no public checksum")
    if not matches(path, file.checksum, lambda done: report(file.name, done, size)):
        return Finding(file.name, "wrong", f"has another checksum than {file.checksum}; fetch it again")
    return Finding(file.name, "good", f"has the checksum {file.checksum}")


def _folder(file: RemoteFile, folder: Path, record: Path, report: Report) -> Finding:
    """Compare a folder with the record of its unpacking; without one, by the number of its images."""
    images = image_files(folder)
    count = len(images)
    if count != file.images:
        return Finding(folder.name, "wrong", f"holds {count:,} images instead of {file.images:,}")
    recorded = (read_json(record) or {}).get("files")
    if not isinstance(recorded, dict) or any(
        path.relative_to(folder).as_posix() not in recorded for path in images
    ):
        empty = [path.name for path in images if path.stat().st_size == 0]
        if empty:
            return Finding(folder.name, "wrong", f"holds empty files ({listing(empty)}); unpack it again")
        return Finding(
            folder.name,
            "unsure",
            f"holds {count:,} images; unpacked by other means, so their bytes are not known",
        )
    changed = []
    for number, (name, facts) in enumerate(recorded.items(), start=1):
        if not _is_as_recorded(folder / name, facts):
            changed.append(name)
        report(folder.name, number, len(recorded))
    if changed:
        return Finding(
            folder.name,
            "wrong",
            f"holds files that are not as they were unpacked ({listing(changed)}); fetch it again",
        )
    return Finding(folder.name, "good", f"holds {count:,} images, each as it was unpacked")


def _is_as_recorded(path: Path, facts: object) -> bool:
    """Say whether a file has the size and CRC-32 of the archive it came from."""
    try:
        # The record came with the folder: it may name a device, which never ends.
        if not isinstance(facts, list) or not path.is_file() or path.stat().st_size != facts[0]:
            return False
        checksum = 0
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                checksum = zlib.crc32(piece, checksum)
    except (OSError, ValueError, IndexError):
        # No such file, a name that can be none, or no facts.
        return False
    return facts[1:] == [checksum]


def _count_pairs(entry: Entry, path: Path) -> Finding:
    """Count the pairs of a data set that has no official files to compare with."""
    collection = read_collection(path, entry.layout)
    count = len(collection.pairs)
    unusable = f", {len(collection.problems):,} files cannot be used (`dermseg data check` names them)"
    found = f"{count:,} pairs{unusable if collection.problems else ''}"
    if entry.pairs and count != entry.pairs:
        return Finding(path.name, "wrong", f"holds {found} instead of {entry.pairs:,} pairs")
    return Finding(path.name, "unsure", f"holds {found}; no public checksums to compare with")


def print_verification(path: Path, name: str | None) -> bool:
    """Verify a folder or an archive, print a line for each file, and return whether all is right."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        verification = verify(
            path,
            name,
            lambda file, done, total: bar.update(task, description=file, completed=done, total=total),
        )
    lines = [f"{verification.entry.name}: {verification.entry.title}"]
    lines += [f"  {finding.state:<8} {finding.name} {finding.detail}" for finding in verification.findings]
    if not verification.complete:
        again = (
            f"Move away what is wrong, then `dermseg data download {verification.entry.name} --out {path}`."
        )
        lines.append(again if verification.entry.files and path.is_dir() else "Replace what is wrong.")
    say(Console(), "\n".join(lines))
    return verification.complete
