"""Images that belong together, because they show one lesion or one patient: read from tables of metadata."""

import codecs
import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dermseg.data.pairs import identifier_of, listing
from dermseg.data.splits import SIDES, Split, load_split
from dermseg.errors import DataError

IMAGE_COLUMNS = ("image_id", "isic_id", "image_name", "image")
"""Columns that name the image: of HAM10000, the ISIC archive, ISIC 2020 and ISIC 2018's lesion groupings."""

GROUP_COLUMNS = ("lesion_id", "patient_id")
"""Columns whose equal values keep images together."""

_UNKNOWN = frozenset({"", "-", "?", "na", "n/a", "nan", "none", "null", "unknown"})
_DELIMITERS = (",", ";", "\t")
_ABOVE = re.compile(r"(?:[ \t]*|#.*|sep=.)\n", re.IGNORECASE)
"""A line above a table: empty, a comment, or what tells Excel the delimiter."""
_LARGEST_FILE = 200_000_000
_LARGEST_SHARE = 0.5
"""Share of the images in one group from which the table must be wrong."""


@dataclass(frozen=True, slots=True)
class Group:
    """Images that must stay on one side of a split."""

    identifiers: tuple[str, ...]
    reason: str
    """What they have in common, to be put into brackets: `lesion_id HAM_0000118 in metadata.csv`."""


def read_groups(path: Path, identifiers: Iterable[str]) -> list[Group]:
    """Read which images show one lesion or one patient.

    Args:
        path: Table (CSV, with commas, semicolons or tabs) with a column of `IMAGE_COLUMNS` and one or both of
            `GROUP_COLUMNS`. Above it may be comments (#), empty lines and Excel's `sep=;`. Images may be
            named with or without the ending of their file.
        identifiers: The images that matter; others in the table are left out.

    Returns:
        Groups of two images or more, by column and value.

    Raises:
        DataError: The file cannot be read, is no such table, names none of the images, or puts most of them
            into one group.
    """
    known = set(identifiers)
    rows = iter(_rows(path))
    _, header = next(rows)
    image_column = next((name for name in IMAGE_COLUMNS if name in header), None)
    group_columns = [name for name in GROUP_COLUMNS if name in header]
    if image_column is None or not group_columns:
        raise DataError(
            f"{path} does not say which images belong together: it needs a column "
            f"{' or '.join(IMAGE_COLUMNS)} and a column {' or '.join(GROUP_COLUMNS)}; "
            f"its columns are {listing(header) or 'none'}."
        )
    members: dict[tuple[str, str], set[str]] = defaultdict(set)
    named = 0
    for number, row in rows:
        if len(row) < len(header):
            raise DataError(
                f"{path} is damaged: line {number} has {len(row)} of {len(header)} values; mend or fetch it."
            )
        values = dict(zip(header, row, strict=False))
        identifier = _identifier(values[image_column], known)
        if identifier is None:
            continue
        named += 1
        for column in group_columns:
            if (value := values[column].strip()).lower() not in _UNKNOWN:
                members[column, value].add(identifier)
    if not named:
        raise DataError(f"{path} names none of the {len(known):,} images; is it the table of these data?")
    groups = [
        Group(tuple(sorted(names)), f"{column} {value[:80]} in {path.name}")
        for (column, value), names in sorted(members.items())
        if len(names) > 1
    ]
    _check_sizes(groups, len(known), path)
    return groups


def find_groups(data: Path, identifiers: Sequence[str], table: Path | None = None) -> list[Group]:
    """Read the groups from tables that lie in a data folder or beside it, and from one that was given.

    Args:
        data: Folder of a data set.
        identifiers: Its images.
        table: One that must be such a table, wherever it lies.

    Returns:
        Groups of all tables that have the columns and name any of the images, each once; other tables do not
        matter.

    Raises:
        DataError: Such a table is damaged, or puts most of the images into one group; or `table` cannot be
            used.
    """
    known = set(identifiers)
    found = [group for path in _tables(data) if _is_about(path, known) for group in read_groups(path, known)]
    given = [] if table is None else read_groups(table, known)
    # The given one may be one of those that were found.
    return list(dict.fromkeys([*found, *given]))


def published_groups(identifiers: Iterable[str]) -> list[Group]:
    """List the pairs of ISIC 2018 training images that were found, by eye, to show one lesion."""
    known = set(identifiers)
    origin = load_split("isic2018-2094").origin
    pairs: list[list[str]] = origin["kept_together"] + origin["found_later"]
    return [
        Group(tuple(pair), "one lesion, by the list of dermseg") for pair in pairs if known.issuperset(pair)
    ]


def merged(groups: Iterable[Iterable[str]]) -> dict[str, str]:
    """Join groups that share an image, and label every image by the least identifier of its joined group."""
    members: dict[str, set[str]] = {}
    for group in groups:
        joined = set(map(str, group))
        joined.update(*(members[image] for image in joined & members.keys()))
        members.update(dict.fromkeys(joined, joined))
    return {image: min(joined) for image, joined in members.items()}


def crossing(groups: Iterable[Group], split: Split) -> list[Group]:
    """Choose the groups whose images are on several sides of a split."""
    side_of = {name: side for side in SIDES for name in getattr(split, side)}
    return [
        group for group in groups if len({side_of[name] for name in group.identifiers if name in side_of}) > 1
    ]


def crossing_lines(groups: Iterable[Group], split: Split, limit: int = 5) -> list[str]:
    """Say of groups, one a line, which of their images are on which side of a split."""
    lines = []
    for group in groups:
        parts = []
        for side in SIDES:
            names = sorted(set(getattr(split, side)).intersection(group.identifiers))
            if names:
                parts.append(f"{listing(names, 2)} in {side}")
        lines.append(f"{', '.join(parts)} ({group.reason})")
    return [*lines[:limit], *([f"and {len(lines) - limit:,} more"] if len(lines) > limit else [])]


def _tables(data: Path) -> Iterator[Path]:
    for folder in (data, data.resolve().parent):
        try:
            files = sorted(folder.iterdir())
        except OSError:
            # What cannot be listed holds no table; the data set itself is read elsewhere.
            continue
        # Harvard Dataverse serves the table of HAM10000 without an ending.
        yield from (
            path
            for path in files
            if (path.suffix.lower() in {".csv", ".tab"} or path.name == "HAM10000_metadata")
            and path.is_file()
        )


def _is_about(path: Path, known: set[str]) -> bool:
    """Whether a table has the columns and names one of the images."""
    try:
        with path.open("rb") as file:
            header = _header(_lines(_text(file.read(1 << 16), errors="replace").read())[1])
        if not (set(IMAGE_COLUMNS) & set(header) and set(GROUP_COLUMNS) & set(header)):
            return False
    except OSError:
        return False
    rows = iter(_rows(path))
    _, header = next(rows)
    place = next(header.index(name) for name in IMAGE_COLUMNS if name in header)
    return any(len(row) > place and _identifier(row[place], known) for _, row in rows)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Read the header, in lower case, and the rows that are not empty, each with the number of its line."""
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise DataError(f"{path} is too large for a table of images; give the CSV file of the metadata.")
        text = _text(path.read_bytes()).read()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a table ({error}); save it as CSV in UTF-8.") from error
    try:
        above, first, table = _lines(text)
        reader = csv.reader(io.StringIO(table, newline=""), delimiter=_delimiter(first))
        header = _header(first)
        if len(set(header)) != len(header):
            raise DataError(f"{path} has several columns of one name: {listing(header)}; rename or drop one.")
        yield above + 1, header
        next(reader)
        yield from ((above + reader.line_num, row) for row in reader if row)
    except (csv.Error, StopIteration) as error:
        raise DataError(f"{path} is no table ({error}); save it as CSV.") from error


def _text(content: bytes, errors: str = "strict") -> io.TextIOWrapper:
    """Open a table in UTF-8, or in UTF-16, in which programs for Windows save some."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return io.TextIOWrapper(io.BytesIO(content), "utf-16" if wide else "utf-8-sig", errors)


def _lines(text: str) -> tuple[int, str, str]:
    """Return how many lines are above a table, its first line, and the table."""
    above = start = 0
    # A comment may be a heading too, where the column of numbers is named #.
    while (found := _ABOVE.match(text, start)) and not set(IMAGE_COLUMNS) & set(_header(found[0])):
        above, start = above + 1, found.end()
    table = text[start:]
    return above, table.partition("\n")[0], table


def _header(line: str) -> list[str]:
    names = next(csv.reader([line.replace("\0", "")], delimiter=_delimiter(line)), [])
    return [name.strip().lower() for name in names]


def _delimiter(line: str) -> str:
    return max(_DELIMITERS, key=line.count)


def _identifier(value: str, known: set[str]) -> str | None:
    """Find the image that a table names; with or without folders, of any system, and the ending of a file."""
    value = value.strip()
    if value in known:
        return value
    stem = identifier_of(Path(value.replace("\\", "/"))) if value and "\0" not in value else ""
    return stem if stem in known else None


def _check_sizes(groups: Iterable[Group], images: int, path: Path) -> None:
    for group in groups:
        if len(group.identifiers) > max(2, _LARGEST_SHARE * images):
            raise DataError(
                f"{path} puts {len(group.identifiers):,} of {images:,} images together ({group.reason}), "
                "which leaves no independent test; leave that value empty where it is not known."
            )
