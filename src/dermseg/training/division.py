"""Dividing the images of a run, so that nothing related lies on two sides."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from dermseg.console import say
from dermseg.data.cache import Cache
from dermseg.data.groups import Group, crossing, crossing_lines
from dermseg.data.pairs import Collection
from dermseg.data.splits import Split, frozen_splits, load_split
from dermseg.data.splits.gather import gather
from dermseg.data.splits.protocols import PROTOCOLS, Material, draw_protocol, official_parts
from dermseg.errors import ConfigError, DataError
from dermseg.training.arguments import TrainArguments


def divide(
    arguments: TrainArguments, collection: Collection, data: Path, cache: Cache, console: Console
) -> Split:
    """Choose or draw the split of a new run.

    Args:
        arguments: Of the run.
        collection: The data set.
        data: Its folder.
        cache: Its prepared images.
        console: Where warnings are printed.

    Raises:
        DataError: The split does not fit the data, or has near-duplicates or images of one lesion or patient
            on two sides; `allow_leak` lets those pass, and the split's origin then names them.
        ConfigError: The split's name or fold is unknown.
    """
    table = None if arguments.groups is None else Path(arguments.groups)
    material = gather(collection, data, cache, table, progress=console.is_terminal)
    split = _chosen(arguments, material)
    split.check(cache.identifiers)
    if split.warning:
        _warn(console, f"{split.name}: {split.warning}")
    crossed = crossing(material.groups, split)
    if not crossed:
        return split
    # Official parts and frozen splits are not the user's to change.
    fixed = split.origin.get("method") == "official" or arguments.split in frozen_splits()
    if not (arguments.allow_leak or fixed):
        _refuse(split, crossed)
    lines = crossing_lines(crossed, split, limit=len(crossed))
    _warn(console, f"{split.name} has related images on two sides, which flatters its scores: {lines[0]}")
    if len(lines) > 1:
        _warn(console, f"and {len(lines) - 1:,} more, which split.json names")
    return replace(split, origin={**split.origin, "leaks": lines})


def _chosen(arguments: TrainArguments, material: Material) -> Split:
    a = arguments
    if a.split is not None:
        name, _, fold = a.split.partition(":")
        if name not in PROTOCOLS:
            return load_split(a.split)
        return _fold(name, fold, draw_protocol(name, material, a.seed))
    if len({material.sides.get(name) for name in material.identifiers} - {None}) > 1:
        return official_parts(material, a.seed, a.validation)
    return material.hold_out(validation=a.validation, test=a.test, seed=a.seed)


def _fold(protocol: str, fold: str, splits: Sequence[Split]) -> Split:
    if not fold and len(splits) == 1:
        return splits[0]
    if not fold.isascii() or not fold.isdigit() or not 1 <= int(fold) <= len(splits):
        raise ConfigError(
            f"split: {protocol} has {len(splits)} folds, of which a run trains on one: "
            f"--split {protocol}:1 to --split {protocol}:{len(splits)}"
        )
    return splits[int(fold) - 1]


def _refuse(split: Split, crossed: Sequence[Group]) -> None:
    lines = "; ".join(crossing_lines(crossed, split))
    raise DataError(
        f"Split {split.name} has related images on two sides, {len(crossed):,} times, so its scores would be "
        f"too good: {lines}. Draw a split that keeps them together (`dermseg data split`), or pass "
        "--allow-leak; the results then say so."
    )


def _warn(console: Console, text: str) -> None:
    say(console, f"warning: {text}", style="yellow")
