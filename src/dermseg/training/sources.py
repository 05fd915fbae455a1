"""The images of a run: collection, split and prepared cache, from the arguments."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from dermseg.data.cache import Cache, default_directory, prepare
from dermseg.data.dataset import CachedPairs
from dermseg.data.pairs import Collection
from dermseg.data.readers import read_collection
from dermseg.data.splits import Split, hold_out, load_split, save_split
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
    directory = _cache_root(arguments) / default_directory(Path(collection.name), arguments.size).name
    if arguments.cache is None:
        directory = default_directory(data_path(arguments), arguments.size)
    cache = prepare(collection.pairs, arguments.size, directory, progress=console.is_terminal)
    for problem in (*collection.problems, *cache.problems):
        console.print(
            f"left out: {problem.path} {problem.reason}", style="yellow", highlight=False, soft_wrap=True
        )
    split = _split(arguments, split_file, cache)
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
    return _cache_root(a) / f"synthetic-{a.synthetic_images}-images-{a.size}px-seed-{a.seed}"


def _collection(arguments: TrainArguments) -> Collection:
    path = data_path(arguments)
    if arguments.data != "synthetic":
        return read_collection(path, arguments.layout)
    from dermseg.data.synthetic import synthetic_collection

    return synthetic_collection(path, arguments.synthetic_images, arguments.size, arguments.seed)


def _cache_root(arguments: TrainArguments) -> Path:
    return arguments.cache or default_directory(Path("synthetic"), arguments.size).parent


def _split(arguments: TrainArguments, split_file: Path, cache: Cache) -> Split:
    if split_file.exists():
        return load_split(split_file)
    if arguments.split is None:
        split = hold_out(
            cache.identifiers, validation=arguments.validation, test=arguments.test, seed=arguments.seed
        )
    else:
        split = load_split(arguments.split)
        split.check(cache.identifiers)
    save_split(split, split_file)
    return split
