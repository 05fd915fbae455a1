"""The images of a benchmark, prepared once for all its cells, and the folds that they are divided into."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from dermseg.benchmark.plan import Data
from dermseg.data.cache import Cache, directory_for, prepare
from dermseg.data.groups import find_groups, published_groups
from dermseg.data.pairs import Collection, problem_lines
from dermseg.data.readers import read_collection
from dermseg.data.splits import Split, k_fold
from dermseg.errors import ConfigError
from dermseg.training.arguments import TrainArguments


@dataclass(frozen=True)
class Images:
    """The usable images of a benchmark."""

    collection: Collection
    cache: Cache
    """The smallest that the systems train on."""

    @property
    def identifiers(self) -> tuple[str, ...]:
        """Of the usable images."""
        return self.cache.identifiers


def read_images(data: Data, arguments: Sequence[TrainArguments], console: Console) -> Images:
    """Read the data set, prepare it at every size that a system trains at, and name what cannot be used.

    Args:
        data: Where it is.
        arguments: Of the systems.
        console: Where problems are printed, and progress is shown.

    Raises:
        DataError: The data cannot be used.
    """
    masks = None if data.masks is None else Path(data.masks)
    collection = read_collection(Path(data.folder), data.layout, masks)
    forms = {(a.size, a.geometry, *a.preprocessing): a for a in arguments}
    caches = [
        prepare(
            collection.pairs,
            a.size,
            directory_for(Path(data.folder), a.size, a.cache),
            progress=console.is_terminal,
            geometry=a.geometry,
            preprocessing=a.preprocessing,
        )
        for _, a in sorted(forms.items(), key=lambda item: item[0])
    ]
    for line in problem_lines([*collection.problems, *caches[0].problems]):
        console.print(f"left out: {line}", style="yellow", highlight=False, soft_wrap=True, markup=False)
    return Images(collection, caches[0])


def draw_folds(images: Images, data: Path, folds: int, validation: float, allow_leak: bool) -> list[Split]:
    """Divide the images into folds; what shows one lesion or one patient stays on one side.

    Args:
        images: Of the benchmark.
        data: Folder of the data set, where tables of lesions and patients are looked for.
        folds: How many.
        validation: Share of the images of each fold, its test side apart, that chooses the epoch.
        allow_leak: Divide near-duplicates, too.

    Raises:
        ConfigError: There are too few images, or a side stays empty.
        DataError: A table of lesions or patients is damaged.
    """
    names = images.identifiers
    groups = [] if allow_leak else [*find_groups(data, names), *published_groups(names)]
    splits = k_fold(
        names,
        folds=folds,
        validation=validation,
        groups=[group.identifiers for group in groups],
        name=f"{images.collection.name}-fold",
    )
    for split in splits:
        for side in ("train", "validation", "test"):
            if not getattr(split, side):
                raise ConfigError(
                    f"{len(names)} images in {folds} folds leave no {side} images in {split.name}; use fewer "
                    "folds, more images, or a larger settings.validation"
                )
    return splits
