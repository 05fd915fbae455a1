"""The images of a run: collection, split and prepared cache, from the arguments."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from dermseg.console import say
from dermseg.data.cache import Cache, default_root, directory_for, prepare
from dermseg.data.dataset import CachedPairs
from dermseg.data.duplicates.cached import cached_duplicates
from dermseg.data.duplicates.note import write_note
from dermseg.data.pairs import Collection, problem_lines
from dermseg.data.readers import read_collection
from dermseg.data.splits import Split, load_split
from dermseg.data.synthetic import synthetic_collection
from dermseg.errors import ConfigError
from dermseg.training.arguments import TrainArguments
from dermseg.training.division import divide
from dermseg.training.origin import read_origin
from dermseg.training.pixels import check_pixels
from dermseg.training.start import earlier_training


@dataclass(frozen=True)
class TrainingImages:
    """What a run trains on and chooses its best epoch by; the test images stay closed."""

    collection: Collection
    split: Split
    train: CachedPairs
    validation: CachedPairs
    fingerprints: dict[str, Any] = field(default_factory=dict)
    """Note by which `dermseg evaluate` knows the images again, whatever their names."""
    earlier: Mapping[str, Any] = field(default_factory=dict)
    """Of the weights that the run starts from: how they were trained, and on which further images."""

    @property
    def checksum(self) -> str:
        """Of the pixels of all images of the split, and their masks."""
        return self.train.cache.checksum_of(self.split.identifiers)


def load_images(arguments: TrainArguments, split_file: Path, console: Console) -> TrainingImages:
    """Read the data set, name what cannot be used, and divide the rest.

    Args:
        arguments: Of the run.
        split_file: The split in the run's folder; read if it is there, so that a resumed run divides as it
            began.
        console: Where the problems are printed.

    Raises:
        DataError: The data cannot be used, do not fit the split, have other pixels than the run began with,
            or are related across its sides; or images that should be new shaped the weights that the run
            starts from.
        ConfigError: The split leaves no image to train on, or none to choose the best epoch by.
    """
    collection, data = _collection(arguments), data_path(arguments)
    cache = prepare_for(arguments, collection, data, console)
    for line in problem_lines([*collection.problems, *cache.problems]):
        say(console, f"left out: {line}", style="yellow")
    if split_file.exists():
        split = load_split(split_file)
        split.check(cache.identifiers)
        check_pixels(split_file.parent, data, cache.checksum_of(split.identifiers))
    else:
        split = divide(arguments, collection, data, cache, console)
    for side in ("train", "validation"):
        if not getattr(split, side):
            raise ConfigError(
                f"the split '{split.name}' has no {side} images ({len(cache.identifiers)} images in all); "
                "use more images, or another split"
            )
    fingerprints, _ = cached_duplicates(cache)
    earlier: Mapping[str, Any] = {}
    if arguments.weights is not None:
        origin = read_origin(split_file.parent)
        table = None if arguments.groups is None else Path(arguments.groups)
        # A run that has begun has been checked, and the file may be gone by now, or be another.
        earlier = (
            earlier_training(arguments.weights, split, fingerprints, arguments.allow_leak, data, table)
            if origin is None
            else origin.earlier
        )
    return TrainingImages(
        collection,
        split,
        CachedPairs(cache, split.train),
        CachedPairs(cache, split.validation),
        write_note(split, fingerprints, cache.geometry, cache.preprocessing),
        earlier,
    )


def prepare_for(arguments: TrainArguments, collection: Collection, data: Path, console: Console) -> Cache:
    """Give the cache of a data set in the form that a training asks for.

    Args:
        arguments: Of the training.
        collection: The data set.
        data: Its folder.
        console: Progress is shown where it is a terminal.

    Raises:
        DataError: No pair is usable, or the cache cannot be written.
    """
    return prepare(
        collection.pairs,
        arguments.size,
        directory_for(data, arguments.size, arguments.cache),
        progress=console.is_terminal,
        geometry=arguments.geometry,
        preprocessing=arguments.preprocessing,
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
    return synthetic_collection(path, arguments.synthetic_images, arguments.size, arguments.seed)
