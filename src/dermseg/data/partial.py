"""What has arrived of a download, and of which version of the file."""

from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from io import FileIO
from pathlib import Path

from dermseg.data.catalogue.entries import RemoteFile
from dermseg.data.checksums import matches
from dermseg.errors import DataError
from dermseg.files import read_json, write_json


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one version of a file on a server from another."""

    validator: str | None
    """What the header If-Range takes: a strong ETag or a date; None where the server sends neither."""
    total: int | None
    """Size in bytes, where the server said so."""

    def agrees(self, headers: Message, total: int | None) -> bool:
        """Say whether nothing in an answer with the rest of a file contradicts this version."""
        validators = {headers.get("ETag"), headers.get("Last-Modified")} - {None}
        if self.validator is not None and validators and self.validator not in validators:
            return False
        return None in (total, self.total) or total == self.total


class Partial:
    """The bytes in `NAME.part`, and in `NAME.part.json` what tells the version that they belong to.

    Args:
        destination: Path of the complete file.
    """

    def __init__(self, destination: Path) -> None:
        self.destination = destination
        self.path = destination.with_name(f"{destination.name}.part")
        self.state_path = destination.with_name(f"{destination.name}.part.json")

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self, url: str) -> Version | None:
        """Return what is known of the version that `url` began to send; None where nothing is."""
        state = read_json(self.state_path) or {}
        validator, total = state.get("validator"), state.get("total")
        usable = isinstance(validator, str) and validator.isascii() and validator.isprintable()
        if not self.size or state.get("url") != url:
            return None
        return Version(validator if usable else None, total if isinstance(total, int) else None)

    def begin(self, url: str, headers: Message, total: int | None) -> None:
        """Forget what was there, and remember which version comes now."""
        self.forget()
        # A weak ETag does not vouch for bytes, which is what a range needs.
        etag = headers.get("ETag", "")
        validator = etag if etag.startswith('"') else headers.get("Last-Modified")
        write_json(self.state_path, {"url": url, "validator": validator, "total": total})

    def forget(self) -> None:
        """Delete what has arrived."""
        self.path.unlink(missing_ok=True)
        self.state_path.unlink(missing_ok=True)

    def accept(self, remote: RemoteFile, report: Callable[[int, int], None]) -> None:
        """Give the file its final name if it is the right one; delete it otherwise.

        Args:
            remote: What it should be.
            report: Called with the bytes compared so far and in all.

        Raises:
            DataError: It has another size or checksum.
        """
        size, wrong = self.size, ""
        if remote.size is not None and size != remote.size:
            wrong = f"has {size:,} bytes instead of {remote.size:,}"
        elif remote.checksum is not None and not matches(
            self.path, remote.checksum, lambda done: report(done, size)
        ):
            wrong = f"has another checksum than {remote.checksum}"
        if wrong:
            self.forget()
            raise DataError(
                f"{remote.name} {wrong} and was deleted: it was damaged on its way, or its makers have "
                "replaced it. Run the command again; if the message stays, fetch the file by hand."
            )
        self.path.replace(self.destination)
        self.state_path.unlink(missing_ok=True)


def append(piece: bytes, file: FileIO, path: Path) -> None:
    """Write a piece whole; a full disk is no fault of the connection.

    Raises:
        DataError: It cannot be written.
    """
    try:
        written = file.write(piece)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error}); make room and run again.") from error
    if written != len(piece):
        raise DataError(f"{path} cannot be written (the disk is full); make room and run again.")
