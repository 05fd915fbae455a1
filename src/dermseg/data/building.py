"""Building a cache: pairs decoded in parallel and written row by row, so that a killed build can go on.

While a cache is built, `building.jsonl` gets one line for every pair done, after its pixels were written. The
index is written last.
"""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from dermseg.data.decoding import Entry, decoded, good
from dermseg.data.pairs import Pair
from dermseg.data.storage import RowWriter, check_space, count_intact
from dermseg.files import write_json, write_text

INDEX, JOURNAL, LOCK = "index.json", "building.jsonl", "lock"


def build(pairs: Sequence[Pair], plan: dict[str, Any], directory: Path, workers: int, progress: bool) -> None:
    """Decode what is not decoded yet, then write the index.

    Args:
        pairs: Pairs to decode.
        plan: What the cache is made from and how; its `size` is the side in pixels, its `geometry` how images
            come into the square, its `preprocessing` what is done to them there.
        directory: Folder of the cache, used under this plan alone.
        workers: Number of decoding threads.
        progress: Show a progress bar.

    Raises:
        DataError: The disk has too little space.
    """
    for unfinished in filter(Path.is_file, directory.glob(".*")):
        # Of a process that was killed while it wrote its index or journal.
        unfinished.unlink()
    size = plan["size"]
    done = _resume(pairs, size, directory)
    remaining = pairs[len(done) :]
    check_space(directory, size, len(remaining))
    with (
        # A kill between pixels and their line left a row that nobody vouches for.
        RowWriter(directory, size, len(good(done))) as rows,
        (directory / JOURNAL).open("a", encoding="utf-8") as journal,
        Progress(console=Console(stderr=True), disable=not progress) as bar,
    ):
        task = bar.add_task(f"Preparing {size} px", total=len(pairs), completed=len(done))
        for entry, image, mask in decoded(remaining, size, workers, plan["geometry"], plan["preprocessing"]):
            if image is not None and mask is not None:
                entry["digest"] = rows.append(image, mask)
            journal.write(json.dumps(entry) + "\n")
            journal.flush()
            done.append(entry)
            bar.advance(task)
        rows.finish(len(good(done)))
    write_json(directory / INDEX, {**plan, "checksum": content_checksum(done), "entries": done})
    (directory / JOURNAL).unlink()


def content_checksum(entries: Sequence[Entry]) -> str:
    """Digest of the identifiers and pixels of a cache, wherever it lies and whenever it was built."""
    lines = [f"{entry['identifier']} {entry['digest']}\n" for entry in good(entries)]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def _resume(pairs: Sequence[Pair], size: int, directory: Path) -> list[Entry]:
    """Read which pairs an interrupted build has done; where nothing is left of one, begin a new build."""
    # What is left of a finished cache is damaged, but another process may have it mapped: it gets new files.
    finished = (directory / INDEX).exists()
    done = [] if finished else _journaled(directory / JOURNAL, pairs)
    digests = [entry["digest"] for entry in good(done)]
    intact = count_intact(directory, size, digests)
    if intact < len(digests):
        # After a power failure the journal may be on the disk when pixels are not.
        done = done[: done.index(good(done)[intact])]
    if not done:
        _clear(directory)
    write_text(directory / JOURNAL, "".join(json.dumps(entry) + "\n" for entry in done))
    return done


def _clear(directory: Path) -> None:
    """Remove the files of a build, and what others may have derived from them and kept beside them."""
    # The index last: killed before that, the next build clears again.
    for path in sorted(directory.iterdir(), key=lambda path: path.name == INDEX):
        if path.name != LOCK and path.is_file():
            path.unlink()


def _journaled(journal: Path, pairs: Sequence[Pair]) -> list[Entry]:
    """Parse the lines of a journal up to the first that is cut off, or is not about the next of the pairs."""
    done: list[Entry] = []
    with suppress(FileNotFoundError, ValueError, RecursionError):
        for line, pair in zip(journal.read_bytes().splitlines(), pairs, strict=False):
            entry = json.loads(line)
            if not is_entry(entry) or entry["identifier"] != pair.identifier:
                break
            done.append(entry)
    return done


def is_entry(value: object) -> bool:
    """Say whether what a file holds is an entry: it may have been damaged or changed by hand."""
    if not isinstance(value, dict) or not isinstance(value.get("identifier"), str):
        return False
    if "height" not in value:
        return isinstance(value.get("path"), str) and isinstance(value.get("reason"), str)
    area = value.get("area")
    if not isinstance(area, list) or len(area) != 4 or not isinstance(value.get("digest"), str):
        return False
    corner, sides = area[:2], [*area[2:], value["height"], value.get("width")]
    return all(_is_count(number, 0) for number in corner) and all(_is_count(number, 1) for number in sides)


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and value >= least
