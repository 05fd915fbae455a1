"""Refusing to score a network on images it has learned from."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from safetensors import safe_open

from dermseg.data.pairs import listing
from dermseg.errors import CheckpointError, DataError
from dermseg.models.weights import HEADER


def read_learned(weights: Path) -> dict[str, list[str]] | None:
    """Read the names of the images that shaped a network.

    Args:
        weights: A weight file which `load_model` accepts.

    Returns:
        Identifiers of the `train` side, which shaped it by gradients, and of the `validation` side, which
        chose the epoch; or None if training left no note of them.

    Raises:
        CheckpointError: The note is damaged.
    """
    with safe_open(weights, framework="pt") as file:
        notes = json.loads(file.metadata()[HEADER]).get("notes")
    split = notes.get("split") if isinstance(notes, dict) else None
    if not isinstance(split, dict):
        return None
    learned = {side: split.get(side, []) for side in ("train", "validation")}
    for side, names in learned.items():
        if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise CheckpointError(
                f"{weights} is damaged: its note of the {side} images is no list of names; "
                "fetch the file again, or take the one in the run folder."
            )
    return learned


def leaks(
    learned: Mapping[str, Sequence[str]] | None, identifiers: Iterable[str], *, side: str = "test"
) -> list[str] | None:
    """List the images among `identifiers` that carry the names of images which shaped a network.

    Args:
        learned: As `read_learned` gives it.
        identifiers: Images about to be scored.
        side: Which side of a split they are. Scoring the validation side on purpose is what choosing an
            epoch does, so then only training images count.

    Returns:
        The identifiers, or None if it is not known what the network learned from.
    """
    if learned is None:
        return None
    sides = ("train",) if side == "validation" else ("train", "validation")
    names = {name for side in sides for name in learned[side]}
    return [identifier for identifier in identifiers if identifier in names]


def refuse_leaks(leaked: list[str] | None, total: int) -> None:
    """Stop an evaluation that would flatter the network.

    Args:
        leaked: Images that shaped the network, as `leaks` lists them.
        total: Number of images about to be scored.

    Raises:
        DataError: There are such images.
    """
    if leaked:
        raise DataError(
            f"{len(leaked):,} of the {total:,} images carry the names of images that shaped this network (it "
            f"was trained on them, or its epoch was chosen by them): {listing(leaked)}. Their scores would "
            "be too good. Score the images it never saw (--split RUN/split.json --part test). Where other "
            "images happen to have these names, pass --allow-leak; the summary then says so."
        )
