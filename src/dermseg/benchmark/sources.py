"""The images of a benchmark, prepared once for all its cells, and the folds that they are divided into."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from dermseg.benchmark.plan import Data
from dermseg.console import say
from dermseg.data.cache import Cache
from dermseg.data.pairs import Collection, problem_lines
from dermseg.data.readers import read_collection
from dermseg.data.splits import SIDES, Split, k_fold
from dermseg.data.splits.gather import gather
from dermseg.errors import ConfigError
from dermseg.training.arguments import TrainArguments
from dermseg.training.sources import prepare_for


@dataclass(frozen=True)
class Images:
    """The usable images of a benchmark."""

    collection: Collection
    folder: Path
    caches: tuple[Cache, ...]
    """In every form that a system trains on, the largest first."""

    @property
    def identifiers(self) -> tuple[str, ...]:
        """Of the usable images."""
        return self.caches[0].identifiers

    @property
    def pixels(self) -> dict[str, str]:
        """Checksum of the images and masks in each form."""
        return {
            ", ".join((f"{cache.size} px", cache.geometry, *cache.preprocessing)): cache.checksum
            for cache in self.caches
        }


def read_images(data: Data, arguments: Sequence[TrainArguments], console: Console) -> Images:
    """Read the data set, prepare it in every form that a system trains on, and name what cannot be used.

    Args:
        data: Where it is.
        arguments: Of the systems.
        console: Where problems are printed, and progress is shown.

    Raises:
        DataError: The data cannot be used.
    """
    folder, masks = Path(data.folder), None if data.masks is None else Path(data.masks)
    collection = read_collection(folder, data.layout, masks)
    forms = {(a.size, a.geometry, *a.preprocessing): a for a in arguments}
    # By the trainings' own function: they find these caches, and prepare none again.
    caches = [prepare_for(a, collection, folder, console) for a in forms.values()]
    for line in problem_lines([*collection.problems, *caches[0].problems]):
        say(console, f"left out: {line}", style="yellow")
    return Images(collection, folder, tuple(sorted(caches, key=lambda cache: -cache.size)))


def draw_folds(
    images: Images, folds: int, validation: float, table: Path | None, allow_leak: bool, console: Console
) -> list[Split]:
    """Divide the images into folds, with large and small lesions and every source in each.

    Args:
        images: Of the benchmark.
        folds: How many.
        validation: Share of the images of each fold, its test side apart, that chooses the epoch.
        table: Says which images show one lesion or one patient; these, and near-duplicates, stay together.
        allow_leak: Divide those, too.
        console: Where progress is shown.

    Raises:
        ConfigError: There are too few images, or a side stays empty.
        DataError: The table cannot be used.
    """
    # Images that look alike in any of the forms stay together: some system is trained on that form.
    materials = [
        gather(images.collection, images.folder, cache, table, console.is_terminal) for cache in images.caches
    ]
    together = [] if allow_leak else [names for material in materials for names in material.together]
    splits = k_fold(
        images.identifiers,
        folds=folds,
        validation=validation,
        groups=together,
        strata=materials[0].strata,
        name=f"{images.collection.name}-fold",
    )
    for split in splits:
        if empty := [side for side in SIDES if not getattr(split, side)]:
            raise ConfigError(
                f"{len(images.identifiers)} images in {folds} folds leave no {empty[0]} images in "
                f"{split.name}; use fewer folds, more images, or a larger settings.validation"
            )
    # The report's intervals draw them as a whole.
    kept = [list(names) for names in dict.fromkeys(map(tuple, together))]
    return [replace(split, origin={**split.origin, "kept_together": kept}) for split in splits]
