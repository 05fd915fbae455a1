"""What `dermseg data split` and `dermseg data splits` do and print."""

import os
from pathlib import Path

from rich.console import Console

from dermseg.console import say
from dermseg.data.cache import directory_for, prepare
from dermseg.data.duplicates import COMPARED_SIZE
from dermseg.data.groups import crossing, crossing_lines
from dermseg.data.pairs import problem_lines
from dermseg.data.readers import read_collection
from dermseg.data.splits import SIDES, Split, frozen_splits, load_split, save_split
from dermseg.data.splits.gather import gather
from dermseg.data.splits.protocols import PROTOCOLS, Material, draw_protocol
from dermseg.errors import ConfigError


def draw(
    data: Path,
    out: Path,
    *,
    protocol: str | None = None,
    folds: int | None = None,
    validation: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
    layout: str = "auto",
    masks: Path | None = None,
    groups: Path | None = None,
    cache: Path | None = None,
) -> list[Path]:
    """Divide a data set and write the identifier lists, one JSON file for each split.

    Args:
        data: Folder of the data set.
        out: Folder for the files.
        protocol: A key of `PROTOCOLS`; without it, one split is drawn, or as many as `folds`.
        folds: Number of folds of a cross-validation.
        validation: Share of the images that choose the epoch, of those not tested where there are folds.
        test: Share of the images that are tested; of no meaning with `folds`.
        seed: Another seed draws another division.
        layout: How the data folder is laid out.
        masks: Folder of the masks, where they are not beside the images.
        groups: A table that says which images show one lesion or one patient.
        cache: Folder of prepared caches.

    Returns:
        The files.

    Raises:
        DataError: The data or the table cannot be used.
        ConfigError: The division is impossible, both a protocol and folds are asked for, or a file holds
            another division.
    """
    if protocol is not None and folds is not None:
        raise ConfigError(f"The protocol {protocol} says how many folds there are; leave folds out.")
    console = Console()
    material = _read(data, layout, masks, groups, cache, console)
    if protocol is not None:
        splits = draw_protocol(protocol, material, seed)
    elif folds is not None:
        splits = material.k_fold(folds=folds, validation=validation, seed=seed)
    else:
        splits = [material.hold_out(validation=validation, test=test, seed=seed)]
    files = [out / f"{split.name}.json" for split in splits]
    for split, file in zip(splits, files, strict=True):
        _require_the_same(split, file)
    for split, file in zip(splits, files, strict=True):
        save_split(split, file)
        _describe(console, split, file, material)
    if splits[0].warning:
        say(console, f"warning: {splits[0].warning}", style="yellow")
    return files


def _read(
    data: Path, layout: str, masks: Path | None, groups: Path | None, cache: Path | None, console: Console
) -> Material:
    """Read what is to be divided, and say what is left out and what is kept together."""
    collection = read_collection(data, layout, masks)
    prepared = prepare(
        collection.pairs, COMPARED_SIZE, directory_for(data, COMPARED_SIZE, cache), progress=True
    )
    for line in problem_lines([*collection.problems, *prepared.problems]):
        say(console, f"left out: {line}")
    material = gather(collection, data, prepared, groups, progress=console.is_terminal)
    together = {name for group in material.groups for name in group.identifiers}
    say(
        console,
        f"{collection.name}: {len(material.identifiers):,} images, {len(together):,} of them kept together "
        "with others (near-duplicates, one lesion, or one patient)",
    )
    return material


def _require_the_same(split: Split, file: Path) -> None:
    """Refuse to replace another division: results may refer to it."""
    if os.path.lexists(file) and load_split(str(file)).checksum != split.checksum:
        raise ConfigError(f"{file} holds another division; name another folder with --out, or delete it.")


def list_named() -> None:
    """Print the splits that come with the package, and the protocols by which data can be divided."""
    console = Console()
    say(console, "Frozen splits, for dermseg train | evaluate --split NAME:", style="bold")
    for name in frozen_splits():
        split = load_split(name)
        say(console, f"  {name}: {_sizes(split)}; {split.origin['data']}")
    say(
        console,
        "\nProtocols, for dermseg data split PATH --protocol NAME or dermseg train --split NAME[:FOLD]:",
        style="bold",
    )
    for name, protocol in PROTOCOLS.items():
        say(console, f"  {name}: {protocol.summary}. Source: {protocol.source}")
        if protocol.warning:
            say(console, f"    warning: {protocol.warning}", style="yellow")


def _describe(console: Console, split: Split, file: Path, material: Material) -> None:
    say(console, f"{file}: {_sizes(split)}; checksum {split.checksum[:16]}")
    # Only official parts have any.
    for line in crossing_lines(crossing(material.groups, split), split):
        say(console, f"  warning: on two sides: {line}", style="yellow")


def _sizes(split: Split) -> str:
    return ", ".join(f"{len(getattr(split, side)):,} {side}" for side in SIDES)
