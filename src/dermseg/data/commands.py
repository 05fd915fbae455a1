"""What `dermseg data check | prepare | synthesize` do and print."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from dermseg.data import cache
from dermseg.data.pairs import Problem
from dermseg.data.readers import read_collection
from dermseg.data.synthetic import synthetic_collection

_LISTED = 20
"""Problems printed one by one; more are counted."""


def check(path: str, layout: str) -> int:
    """Print the number of pairs and every file that cannot be used; return the number of the latter."""
    collection = read_collection(Path(path), layout)
    _print(
        f"{collection.name}: {len(collection.pairs):,} usable pairs, {len(collection.problems):,} problems"
    )
    _print_problems(collection.problems, listed=len(collection.problems))
    return len(collection.problems)


def prepare(path: str, size: int, layout: str, out: Path | None) -> int:
    """Build the cache of a data set and say where it is; return the number of files that cannot be used."""
    collection = read_collection(Path(path), layout)
    directory = out or cache.default_directory(Path(path), size)
    prepared = cache.prepare(collection.pairs, size, directory, progress=True)
    _print_problems([*collection.problems, *prepared.problems], _LISTED)
    _print(f"{len(prepared.identifiers):,} pairs at {size} px in {directory}")
    return len(collection.problems) + len(prepared.problems)


def synthesize(out: Path, count: int, size: int, seed: int) -> None:
    """Draw synthetic pairs and say where they are."""
    synthetic_collection(out, count, size, seed)
    _print(f"{count:,} pairs in {out / 'images'} and {out / 'masks'}")


def _print_problems(problems: Sequence[Problem], listed: int) -> None:
    for problem in problems[:listed]:
        _print(f"  {problem.path} {problem.reason}")
    if len(problems) > listed:
        _print(f"  and {len(problems) - listed:,} more; `dermseg data check` lists all")


def _print(line: str) -> None:
    """Print as it is: file names may hold brackets, and long ones must stay one word to copy."""
    Console(soft_wrap=True).print(line, highlight=False, markup=False)
