"""What a data set says about how it may be divided: what belongs together, and what kind each image is."""

from pathlib import Path

from dermseg.data.cache import Cache
from dermseg.data.duplicates.cached import cached_duplicates
from dermseg.data.groups import Group, find_groups, published_groups
from dermseg.data.pairs import Collection
from dermseg.data.splits.protocols import Material
from dermseg.data.splits.strata import strata


def gather(
    collection: Collection, data: Path, cache: Cache, table: Path | None = None, progress: bool = False
) -> Material:
    """Collect what a split of the usable images of a data set must respect.

    Args:
        collection: The data set.
        data: Its folder, in which and beside which tables of metadata are looked for.
        cache: Its prepared images.
        table: A table of metadata that says which images show one lesion or one patient.
        progress: Show a progress bar.

    Raises:
        DataError: The table cannot be used.
    """
    names = cache.identifiers
    _, duplicates = cached_duplicates(cache, progress)
    groups = [*published_groups(names), *find_groups(data, names, table)]
    groups += [
        Group((one.first, one.second), f"near-duplicates, correlation {one.correlation:.2f}")
        for one in duplicates
    ]
    areas = [_area(cache, row) for row in range(len(names))]
    kinds = strata(names, areas, cache.original_sizes, collection.sides)
    return Material(names, collection.sides, tuple(groups), kinds)


def _area(cache: Cache, row: int) -> float:
    """Share of an image that is lesion, without what was added to make it square."""
    return float(cache.masks[row][cache.areas[row].slices].mean())
