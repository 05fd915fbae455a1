"""What `dermseg data check | prepare | synthesize` do and print."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from dermseg.console import say
from dermseg.data import cache as caches
from dermseg.data.geometry import Geometry
from dermseg.data.pairs import problem_lines
from dermseg.data.quality.examination import Examination, examine
from dermseg.data.quality.record import write_record
from dermseg.data.readers import read_collection
from dermseg.data.synthetic import synthetic_collection
from dermseg.pages import refuse_foreign_page
from dermseg.paths import require_writable

PAGE = "index.html"
"""Name of the page that `check` writes."""


def check(
    path: str, layout: str, masks: Path | None = None, out: Path | None = None, record: Path | None = None
) -> int:
    """Look at every pair, print how many are usable and every file that is not, and write the report.

    Args:
        path: Folder of a data set.
        layout: How the folder is laid out.
        masks: Folder of the masks, where they are not beside the images.
        out: Folder for the page; none is written without.
        record: JSON file for the same facts; none is written without.

    Returns:
        The number of files that cannot be used.
    """
    page = None if out is None else out / PAGE
    # Before the work instead of after it.
    for file in filter(None, (page, record)):
        require_writable(file.parent)
    if page is not None:
        refuse_foreign_page(page)
    examination = examine(read_collection(Path(path), layout, masks))
    problems = examination.problems
    name = examination.collection.name
    console = Console()
    say(console, f"{name}: {len(examination.measures):,} usable pairs, {len(problems):,} problems")
    for line in problem_lines(problems, limit=len(problems)):
        say(console, f"  {line}")
    for line in _remarks(examination):
        say(console, f"  {line}")
    if page is not None:
        # Here, since matplotlib takes a while to import.
        from dermseg.data.quality.page import write_quality_page

        write_quality_page(page, examination, path)
        say(console, f"Open {page.resolve()}")
    elif _remarks(examination):
        say(console, "  `--out DIR` shows them on a page")
    if record is not None:
        write_record(record, examination, path)
    return len(problems)


def _remarks(examination: Examination) -> list[str]:
    """Say how many usable pairs are worth a look, and why."""
    found = [
        (len(pairs), suspicion.title.lower()) for suspicion, pairs in examination.suspicious.values() if pairs
    ]
    if examination.duplicates:
        count = len(examination.duplicates)
        found.append((count, f"near-duplicate {'pair' if count == 1 else 'pairs'} of images"))
    return [f"worth a look: {count:,} {what}" for count, what in found]


def prepare(
    path: str,
    size: int,
    geometry: Geometry,
    preprocessing: Sequence[str],
    layout: str,
    masks: Path | None,
    out: Path | None,
) -> int:
    """Build the cache of a data set and say where it is.

    Args:
        path: Folder of a data set.
        size: Side of the square images, in pixels.
        geometry: How an image comes into the square.
        preprocessing: Names of the steps that it goes through there.
        layout: How the folder is laid out.
        masks: Folder of the masks, where they are not beside the images.
        out: Folder of all caches; the user's cache folder without.

    Returns:
        The number of files that cannot be used.
    """
    collection = read_collection(Path(path), layout, masks)
    directory = caches.directory_for(Path(path), size, out)
    cache = caches.prepare(
        collection.pairs,
        size,
        directory,
        progress=True,
        geometry=geometry,
        preprocessing=preprocessing,
        verify=True,
    )
    problems = [*collection.problems, *cache.problems]
    console = Console()
    for line in problem_lines(problems):
        say(console, f"  {line}")
    made = ", ".join([geometry, *preprocessing])
    say(console, f"{len(cache.identifiers):,} pairs at {size} px ({made}) in {cache.directory}")
    say(console, f"checksum {cache.checksum}")
    for folder in caches.outdated(cache):
        say(
            console,
            f"made of other files or by another version; delete it when nothing trains on it: {folder}",
        )
    words = ["dermseg", "train", "--data", path, "--size", str(size), "--geometry", geometry]
    words += ["--preprocessing", f"[{', '.join(preprocessing)}]"] if preprocessing else []
    words += ["--layout", layout] if layout != "auto" else []
    words += ["--masks", str(masks)] if masks else []
    words += ["--cache", str(out)] if out else []
    say(console, f"train on it: {shlex.join(words)}")
    return len(problems)


def synthesize(out: Path, count: int, size: int, seed: int) -> None:
    """Draw synthetic pairs, and say where they are and how many lie there."""
    synthetic_collection(out, count, size, seed, progress=True)
    console = Console()
    there = len(read_collection(out, "folder").pairs)
    say(console, f"{there:,} pairs in {out / 'images'} and {out / 'masks'}")
    if there > count:
        say(console, f"{there - count:,} of them were there before; for {count:,} alone, name another folder")
