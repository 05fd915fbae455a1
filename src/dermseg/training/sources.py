"""The images of a run: collection, split and prepared cache, from the arguments."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from dermseg.data.cache import Cache, default_root, directory_for, prepare
from dermseg.data.dataset import CachedPairs
from dermseg.data.pairs import Collection, problem_lines
from dermseg.data.readers import read_collection
from dermseg.data.splits import SIDES, Split, hold_out, load_split
from dermseg.errors import ConfigError
from dermseg.training.arguments import TrainArguments


@dataclass(frozen=True)
class TrainingImages:
    """What a run trains on and chooses its best epoch by; the test images stay closed."""

    collection: Collection
    split: Split
    train: CachedPairs
    validation: CachedPairs


def load_images(arguments: TrainArguments, split_file: Path, console: Console) -> TrainingImages:
    """Read the data set, name what cannot be used, and divide the rest.

    Args:
        arguments: Of the run.
        split_file: The run's split; read if it is there, so that a resumed run divides as it began.
        console: Where the problems are printed.

    Raises:
        DataError: The data cannot be used, or do not fit the split.
        ConfigError: The split leaves no image to train on, or none to choose the best epoch by.
    """
    collection = _collection(arguments)
    directory = directory_for(data_path(arguments), arguments.size, arguments.cache)
    cache = prepare(
        collection.pairs,
        arguments.size,
        directory,
        progress=console.is_terminal,
        geometry=arguments.geometry,
        preprocessing=arguments.preprocessing,
    )
    for line in problem_lines([*collection.problems, *cache.problems]):
        console.print(f"left out: {line}", style="yellow", highlight=False, soft_wrap=True, markup=False)
    split = _split(arguments, split_file, collection, cache)
    for side in ("train", "validation"):
        if not getattr(split, side):
            raise ConfigError(
                f"the split '{split.name}' has no {side} images ({len(cache.identifiers)} images in all); "
                "use more images, or another split"
            )
    return TrainingImages(
        collection, split, CachedPairs(cache, split.train), CachedPairs(cache, split.validation)
    )


def data_path(arguments: TrainArguments) -> Path:
    """Return the folder of the data set, of drawn images too."""
    if arguments.data != "synthetic":
        return Path(arguments.data)
    a = arguments
    return (a.cache or default_root()) / f"synthetic-{a.synthetic_images}-images-{a.size}px-seed-{a.seed}"


def _collection(arguments: TrainArguments) -> Collection:
    path = data_path(arguments)
    if arguments.data != "synthetic":
        return read_collection(path, arguments.layout, arguments.masks)
    from dermseg.data.synthetic import synthetic_collection

    return synthetic_collection(path, arguments.synthetic_images, arguments.size, arguments.seed)


def _split(arguments: TrainArguments, split_file: Path, collection: Collection, cache: Cache) -> Split:
    source = split_file if split_file.exists() else arguments.split
    if source is None:
        return _drawn(arguments, collection, cache.identifiers)
    split = load_split(source)
    split.check(cache.identifiers)
    return split


def _drawn(arguments: TrainArguments, collection: Collection, identifiers: Sequence[str]) -> Split:
    """Take the official parts where there are several, and draw what they leave open."""
    a = arguments
    hold = partial(hold_out, validation=a.validation, seed=a.seed, groups=_one_lesion())
    official = {side: [name for name in identifiers if collection.sides.get(name) == side] for side in SIDES}
    if sum(map(bool, official.values())) < 2:
        return hold(identifiers, test=a.test)
    if not official["validation"]:
        drawn = hold(official["train"], test=0)
        official |= {"train": [*drawn.train], "validation": [*drawn.validation]}
    return Split(
        "official", **{side: tuple(names) for side, names in official.items()}, origin={"method": "official"}
    )


def _one_lesion() -> list[list[str]]:
    """Images of ISIC 2018 that show one lesion, and so belong on one side; other data have none of them."""
    groups: list[list[str]] = load_split("isic2018-2094").origin["kept_together"]
    return groups
