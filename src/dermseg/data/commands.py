"""What `dermseg data check | prepare | synthesize` do and print."""

from pathlib import Path

from rich.console import Console
from rich.progress import track

from dermseg.data import cache as caches
from dermseg.data.building import decoded, faults, usable_cores
from dermseg.data.pairs import problem_lines
from dermseg.data.readers import read_collection
from dermseg.data.synthetic import synthetic_collection


def check(path: str, layout: str, masks: Path | None = None) -> int:
    """Decode every pair, print how many are usable and every file that is not; return the number of those."""
    collection = read_collection(Path(path), layout, masks)
    count = len(collection.pairs)
    # Only whether they can be decoded matters, so the least is kept of them.
    results = decoded(collection.pairs, 1, usable_cores())
    shown = track(results, "Decoding", total=count, console=Console(stderr=True))
    undecodable = faults([entry for entry, _, _ in shown])
    problems = [*collection.problems, *undecodable]
    _print(f"{collection.name}: {count - len(undecodable):,} usable pairs, {len(problems):,} problems")
    for line in problem_lines(problems, limit=len(problems)):
        _print(f"  {line}")
    return len(problems)


def prepare(path: str, size: int, layout: str, masks: Path | None, cache: Path | None) -> int:
    """Build the cache of a data set and say where it is; return the number of files that cannot be used."""
    collection = read_collection(Path(path), layout, masks)
    directory = caches.directory_for(Path(path), size, cache)
    prepared = caches.prepare(collection.pairs, size, directory, progress=True)
    problems = [*collection.problems, *prepared.problems]
    for line in problem_lines(problems):
        _print(f"  {line}")
    _print(f"{len(prepared.identifiers):,} pairs at {size} px in {prepared.directory}")
    return len(problems)


def synthesize(out: Path, count: int, size: int, seed: int) -> None:
    """Draw synthetic pairs and say where they are."""
    synthetic_collection(out, count, size, seed)
    _print(f"{count:,} pairs in {out / 'images'} and {out / 'masks'}")


def _print(line: str) -> None:
    """Print as it is: file names may hold brackets, and long ones must stay one word to copy."""
    Console(soft_wrap=True).print(line, highlight=False, markup=False)
