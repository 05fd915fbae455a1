"""One file over HTTP: resumed by range, checked, and under its final name only when it is whole and right.

What has arrived lies in `NAME.part`; `NAME.part.json` says which version of the file it belongs to. A later
attempt asks for the rest on condition that the file has not changed (RFC 9110: Range, If-Range); where the
server cannot do that, or the file has changed, it starts again.
"""

import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Protocol

from dermseg import __version__
from dermseg.data.catalogue.entries import RemoteFile
from dermseg.data.checksums import PIECE
from dermseg.data.partial import Partial, Version, append
from dermseg.errors import DataError

TIMEOUT = 30.0
"""Seconds without a byte after which a connection is given up."""

ATTEMPTS = 5
"""Attempts in a row that bring less than `WORTH` bytes before the download ends."""

WORTH = 1 << 20
"""Bytes that make an attempt count as progress."""

SLOW = 10
"""Timeouts within which at least `WORTH` bytes must come, or the connection counts as stalled."""

_BUSY = {408, 425, 429}
"""Answers below 500 that say: later."""


class UnreachableError(DataError):
    """The server did not answer, or broke off again and again; other files will fare no better."""


class Observer(Protocol):
    """What is told about a download."""

    def moved(self, done: int, total: int | None) -> None:
        """Hear how many bytes have arrived, and of how many where the server says so."""

    def retries(self, reason: str, attempt: int, attempts: int) -> None:
        """Hear why an attempt failed that another one follows."""

    def checked(self, done: int, total: int) -> None:
        """Hear how many bytes of the whole file have been compared with its checksum."""


@dataclass(frozen=True)
class Patience:
    """How long a download waits and how often it tries."""

    timeout: float = TIMEOUT
    attempts: int = ATTEMPTS
    pause: Callable[[float], None] = time.sleep


class _BrokenError(Exception):
    """An attempt failed in a way that another one may mend."""


class _RefusedError(Exception):
    """An address does not offer the file."""


def fetch(
    remote: RemoteFile, destination: Path, observer: Observer, patience: Patience | None = None
) -> None:
    """Download a file, going on where an earlier attempt ended.

    Proxies are taken from the environment as urllib does (`https_proxy`, `no_proxy`).

    Args:
        remote: The file.
        destination: Where it goes; its folder exists.
        observer: Is told about progress and retries.
        patience: Timeouts and attempts.

    Raises:
        UnreachableError: No connection, or one that keeps breaking; what has arrived is kept.
        DataError: No address offers the file, what arrived is not the file, or the disk is full.
    """
    partial = Partial(destination)
    refusals = []
    for url in remote.urls:
        try:
            _fetch_from(url, remote, partial, observer, patience or Patience())
        except _RefusedError as refusal:
            refusals.append(f"{url} {refusal}")
        else:
            partial.accept(remote, observer.checked)
            return
    raise DataError(f"{remote.name} cannot be downloaded: {'; '.join(refusals)}.")


def _fetch_from(
    url: str, remote: RemoteFile, partial: Partial, observer: Observer, patience: Patience
) -> None:
    """Make attempts until the whole file has arrived."""
    fruitless = 0
    while True:
        before = partial.size
        try:
            _attempt(url, remote, partial, observer, patience.timeout)
        except (_BrokenError, OSError, HTTPException) as error:
            fruitless = 0 if partial.size - before >= WORTH else fruitless + 1
            reason = _reason(error)
        else:
            return
        if fruitless >= patience.attempts:
            kept = f"; {partial.size:,} bytes are kept in {partial.path}, a later run goes on there"
            raise UnreachableError(
                f"{remote.name} cannot be downloaded from {url} ({reason}, {patience.attempts} attempts "
                f"without progress{kept if partial.size else ''})."
            )
        observer.retries(reason, fruitless + 1, patience.attempts)
        patience.pause(2.0 ** max(fruitless - 1, 0))


def _attempt(url: str, remote: RemoteFile, partial: Partial, observer: Observer, timeout: float) -> None:
    """Ask once for what is missing and store what comes."""
    version = partial.version(url)
    if version is not None and version.validator is None and None in (version.total, remote.checksum):
        # Nothing would tell whether the rest belongs to what is there.
        version = None
    start = partial.size if version is not None else 0
    # Compressed on the way, ranges would count other bytes.
    headers = {"User-Agent": f"dermseg/{__version__}", "Accept-Encoding": "identity"}
    if version is not None:
        headers["Range"] = f"bytes={start}-"
        if version.validator is not None:
            headers["If-Range"] = version.validator
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            if _is_whole(error, start, partial):
                return
            raise _failure(error) from error
    with response:
        total = _accepted_total(response, start, version, remote, partial)
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            start = 0
            partial.begin(url, response.headers, total)
        _check_room(remote, partial.path, start, total)
        _store(response, partial.path, start, total or remote.size, observer, SLOW * timeout)


def _is_whole(error: urllib.error.HTTPError, start: int, partial: Partial) -> bool:
    """Say whether a refused range (416) means that nothing is missing; forget what is no part of the file."""
    if error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not start:
        return False
    if error.headers.get("Content-Range", "").replace(" ", "") == f"bytes*/{start}":
        return True
    partial.forget()
    raise _BrokenError("the server's file is shorter than what had arrived of it; starting again")


def _failure(error: urllib.error.HTTPError) -> Exception:
    """Turn an HTTP error into one that another attempt may mend, or one that it may not."""
    answer = f"answers {error.code} ({error.reason})"
    passing = error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code in _BUSY
    return _BrokenError(f"the server {answer}") if passing else _RefusedError(answer)


def _accepted_total(
    response: HTTPResponse, start: int, version: Version | None, remote: RemoteFile, partial: Partial
) -> int | None:
    """Return the size of the whole file as the server states it; refuse what does not fit."""
    if response.headers.get_content_type() == "text/html":
        raise _RefusedError("offers a web page in its place (a login, or a notice)")
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        stated = re.fullmatch(
            r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", response.headers.get("Content-Range", "").strip()
        )
        total = int(stated[2]) if stated is not None and stated[2] != "*" else None
        fits = stated is not None and int(stated[1]) == start
        if not fits or version is None or not version.agrees(response.headers, total):
            partial.forget()
            raise _BrokenError("the server sends another range or version than was asked for; starting again")
    elif response.status == HTTPStatus.OK:
        length = response.headers.get("Content-Length", "")
        total = int(length) if re.fullmatch(r"\d{1,18}", length) else None
    else:
        raise _RefusedError(f"answers {response.status}")
    if total is not None and remote.size is not None and total != remote.size:
        raise _RefusedError(
            f"offers {total:,} bytes where {remote.size:,} were expected: its makers have replaced the file"
        )
    return total


def _check_room(remote: RemoteFile, path: Path, start: int, total: int | None) -> None:
    """Refuse what the disk cannot hold: the rest of the file, and what an archive unpacks to."""
    if total is None:
        return
    # Images and masks are compressed already, so an archive unpacks to about its own size.
    needed = total - start + (total if remote.folder else 0)
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise DataError(
            f"{path.parent} has {free / 1e9:.1f} GB free, and {remote.name} needs {needed / 1e9:.1f} GB "
            "(to arrive and to be unpacked); make room or choose another folder with --out."
        )


def _store(
    response: HTTPResponse, path: Path, start: int, total: int | None, observer: Observer, period: float
) -> None:
    """Append what comes to the partial file; give up if less than `WORTH` bytes come in `period` seconds."""
    done = mark = start
    since = time.monotonic()
    observer.moved(done, total)
    with path.open("ab" if start else "wb", buffering=0) as file:
        # read1 hands over what has come so far, which a stall would otherwise lose.
        while piece := response.read1(PIECE):
            if total is not None and done + len(piece) > total:
                raise _RefusedError(f"sends more than {total:,} bytes")
            append(piece, file, path)
            done += len(piece)
            observer.moved(done, total)
            if done - mark >= WORTH:
                mark, since = done, time.monotonic()
            elif time.monotonic() - since > period:
                raise _BrokenError(f"the connection all but stalled after {done:,} bytes")
    if total is not None and done < total:
        raise _BrokenError(f"the connection broke off after {done:,} of {total:,} bytes")


def _reason(error: Exception) -> str:
    """Say what went wrong in the words of the innermost error."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(inner) or type(inner).__name__
