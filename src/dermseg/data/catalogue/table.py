"""What `dermseg data list` and `dermseg data show` print."""

import os
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from dermseg.console import say
from dermseg.data.catalogue.entries import Entry, Overlap, RemoteFile, entries

UNKNOWN = "-"
WIDE = 160
"""Columns of a table that is not printed on a terminal."""

ACCESS = {"open": "download", "registration": "after registration", "own": "your own"}
"""How one gets a data set, by its `access`."""


def print_catalogue() -> None:
    """Print one line for each data set of the catalogue."""
    table = Table(
        "name",
        "images",
        "masks",
        "size",
        "licence",
        "access",
        caption="`dermseg data show NAME` tells all, `dermseg data download NAME` fetches it.",
    )
    for entry in entries():
        count = f"{entry.pairs:,}" if entry.pairs else UNKNOWN
        table.add_row(entry.name, count, count, size_of(entry), entry.licence, ACCESS[entry.access])
    for column in table.columns[1:4]:
        column.justify, column.no_wrap = "right", True
    table.columns[0].no_wrap = True
    console().print(table)


def print_entry(entry: Entry) -> None:
    """Print everything that is known of one data set."""
    lines = [f"{entry.name}: {entry.title}", ""]
    for label, texts in _facts(entry).items():
        for number, text in enumerate(texts):
            indent = f"{'' if number else label:<13}"
            lines += textwrap.wrap(
                text,
                110,
                initial_indent=indent,
                subsequent_indent=" " * 13,
                break_long_words=False,
                break_on_hyphens=False,
            )
    say(Console(), "\n".join(lines))


def size_of(entry: Entry) -> str:
    """Write the size of a data set's files, with `about` where it is not exact."""
    if entry.size is None:
        return UNKNOWN
    exact = all(file.size is not None for file in entry.files)
    size = decimal(entry.size).replace(".0 ", " ")
    return size if exact else f"about {size}"


def by_hand(entry: Entry, files: Sequence[RemoteFile], out: Path) -> str:
    """Say how to get a data set without `dermseg data download`.

    Args:
        entry: The data set.
        files: Those of its files that are missing.
        out: Folder that they go to.
    """
    if not files:
        return "\n".join(f"- {step.format(out=out)}" for step in entry.by_hand)
    addresses = [f"  {url}\n    as {file.name}" for file in files for url in file.urls[:1]]
    return "\n".join(
        [
            f"Fetch by hand, on any machine, into {out}:",
            *addresses,
            f"Then run `dermseg data download {entry.name} --out {out}` again: it checks and unpacks what it",
            f"finds there, without a network. `dermseg data verify {out}` says what is still missing.",
        ]
    )


def console() -> Console:
    """Return a console for tables; in a file or a pipe, where nothing sets the width, rows stay whole."""
    free = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=WIDE if free else None)


def _facts(entry: Entry) -> dict[str, list[str]]:
    """Return the lines of each label; a label without lines is not printed."""
    parts = ", ".join(f"{count:,} {part}" for part, count in entry.images.items() if part != "all")
    images = f"{entry.pairs:,}" + f" ({parts})" * bool(parts) if entry.pairs else ""
    get = (
        [f"dermseg data download {entry.name}", f"or by hand from {entry.page}"]
        if entry.files
        else by_hand(entry, (), Path("DIR")).splitlines()
    )
    labelled = {
        "images": [images],
        "masks": [entry.masks],
        "licence": [entry.licence, entry.licence_note],
        "page": [entry.page],
        "size": [size_of(entry)] * bool(entry.files),
        "files": [_file_line(file) for file in entry.files],
        "checksums": [entry.checksums_from],
        "overlaps": [_overlap_line(overlap) for overlap in entry.overlaps],
        "notes": list(entry.notes),
        "unconfirmed": list(entry.unconfirmed),
        "cite": list(entry.citation),
        "get it": get,
    }
    return {label: [text for text in texts if text] for label, texts in labelled.items()}


def _file_line(file: RemoteFile) -> str:
    size = f"{file.size:,} bytes" if file.size is not None else "exact size unknown"
    return f"{file.name} ({size}, {file.checksum or 'no public checksum'})"


def _overlap_line(overlap: Overlap) -> str:
    return f"{overlap.shared:,} of {overlap.of:,} images of {overlap.images} are also in {overlap.also_in}"
