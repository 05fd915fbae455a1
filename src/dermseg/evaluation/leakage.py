"""Refusing to score a network on images it has learned from."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open

from dermseg.data.pairs import listing
from dermseg.errors import DataError
from dermseg.models.weights import HEADER


def read_notes(weights: Path) -> dict[str, Any]:
    """Read the notes that training left in a weight file which `load_model` accepts."""
    with safe_open(weights, framework="pt") as file:
        notes = json.loads(file.metadata()[HEADER]).get("notes")
    return notes if isinstance(notes, dict) else {}


def leaks(notes: Mapping[str, Any], identifiers: Iterable[str], *, side: str = "test") -> list[str] | None:
    """List the images among `identifiers` that shaped a network.

    Args:
        notes: Notes of the weight file; `notes["split"]` holds the identifiers per side. Training images
            shaped it by gradients, validation images by choosing the epoch.
        identifiers: Images about to be scored.
        side: Which side of a split they are. Scoring the validation side on purpose is what choosing an
            epoch does, so then only training images count.

    Returns:
        The identifiers, or None if the notes do not say what the network learned from.
    """
    split = notes.get("split")
    if not isinstance(split, Mapping):
        return None
    sides = ("train",) if side == "validation" else ("train", "validation")
    learned = {identifier for name in sides for identifier in split.get(name, ())}
    return [identifier for identifier in identifiers if identifier in learned]


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
            f"{len(leaked):,} of the {total:,} images shaped this network (it was trained on them, or its "
            f"epoch was chosen by them): {listing(leaked)}. Their scores would be too good. Score the images "
            "it never saw (--split RUN/split.json --part test), or pass --allow_leak true; the summary then "
            "says so."
        )
