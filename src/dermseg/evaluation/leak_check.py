"""Looking, before an evaluation, for images that the network has learned from; and saying what was found."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.progress import track

from dermseg.data.decoding import PixelBudget, in_order, usable_cores
from dermseg.data.duplicates import COMPARED_SIZE, Fingerprint, fingerprint
from dermseg.data.duplicates.note import Note
from dermseg.data.geometry import place
from dermseg.data.groups import Group, published_groups
from dermseg.data.images import read_resized
from dermseg.data.pairs import Pair
from dermseg.data.preprocessing.table import preprocess
from dermseg.data.splits import Split
from dermseg.errors import DataError
from dermseg.evaluation.leakage import (
    Learned,
    leaks_by_group,
    leaks_by_name,
    leaks_by_picture,
    refuse_leaks,
)


def check_leaks(
    learned: Learned | None,
    pairs: Sequence[Pair],
    tables: Sequence[Group],
    *,
    part: str = "test",
    split: Split | None = None,
    allow_leak: bool = False,
    progress: Console | None = None,
) -> dict[str, Any]:
    """Refuse to score a network on images that shaped it, or note for the summary what was let pass.

    Names are compared first, which takes no time; then lesions and patients, where a table or the package's
    own list names them; then pictures, for which every image is decoded once.

    Args:
        learned: The images that shaped the network; None if its weights do not say.
        pairs: About to be scored.
        tables: What tables of metadata say of these images and those that shaped the network.
        part: Which side of a split they are.
        split: That split. If the network was trained on it, images of two sides that are related were refused
            or named by the training: here they are noted, not refused. Leaks from the weights that the
            training started from are refused, unless those were trained on the same split.
        allow_leak: Note leaks instead of refusing.
        progress: Where a progress bar is shown.

    Returns:
        JSON values for the summary: `trained_on_these`, the identifiers at fault, or None if it is not known;
        `leaks`, each with the image it leaks from and the reason; `leak_check`, what was compared.

    Raises:
        DataError: There are leaks.
    """
    if learned is None:
        return {"trained_on_these": None}
    names = [pair.identifier for pair in pairs]
    everyone = [*names, *learned.names(part)]
    related = [*published_groups(everyone), *tables]
    compared = ["names", *(["lesions and patients"] if tables else [])]
    excused, counted = learned.divided(None if split is None else split.checksum)
    leaks = leaks_by_name(learned, names, part)
    if not allow_leak:
        refuse_leaks(leaks, len(pairs))
    noted = leaks_by_group(excused, names, related, part)
    leaks += leaks_by_group(counted, names, related, part)
    if learned.pictured:
        compared.append("pictures")
    if learned.known_pictures(part):
        named = {leak.identifier for leak in leaks}
        others = [pair for pair in pairs if pair.identifier not in named]
        pictures = _fingerprints(others, learned.note, progress)
        noted += leaks_by_picture(excused, pictures, part)
        leaks += leaks_by_picture(counted, pictures, part)
    if not allow_leak:
        refuse_leaks(leaks, len(pairs))
    leaks = list(dict.fromkeys([*leaks, *noted]))
    found = sorted({leak.identifier for leak in leaks})
    return {
        "trained_on_these": found if found or learned.complete else None,
        "leaks": [asdict(leak) for leak in leaks],
        "leak_check": compared,
    }


def leak_lines(provenance: Mapping[str, Any]) -> list[str]:
    """Say in words what `check_leaks` and the split have against the scores, for the printed table."""
    lines = []
    leaked = provenance.get("trained_on_these", [])
    if leaked is None:
        lines.append("The weights do not say which images they learned from: these may be among them.")
    elif leaked:
        lines.append(
            f"NOT A TEST: {len(leaked):,} of these images shaped the network, or show the picture, lesion or "
            "patient of one that did."
        )
    if "pictures" not in provenance.get("leak_check", ["pictures"]):
        lines.append(
            "Looked for training images by name alone: these weights carry no fingerprints of theirs, so a "
            "copy under another name would pass."
        )
    split = provenance.get("split") or {}
    if "warning" in split:
        lines.append(f"{split['name']}: {split['warning']}")
    if "leaks" in split:
        lines.append(
            f"NOT INDEPENDENT: split {split['name']} has related images on two sides, "
            f"{len(split['leaks']):,} times; its file names them."
        )
    return lines


def _fingerprints(pairs: Sequence[Pair], note: Note, progress: Console | None) -> list[Fingerprint]:
    def take(pair: Pair, budget: PixelBudget) -> Fingerprint | None:
        return _fingerprint(pair, note, budget)

    shown = track(
        in_order(pairs, take, usable_cores()),
        "Looking for training images",
        total=len(pairs),
        console=progress,
        disable=progress is None,
    )
    return [one for one in shown if one is not None]


def _fingerprint(pair: Pair, note: Note, budget: PixelBudget) -> Fingerprint | None:
    """Take the fingerprint of what training would have seen of an image; None if it cannot be read."""
    try:
        with budget.hold(pair.image):
            square, (height, width) = read_resized(pair.image, COMPARED_SIZE, note.geometry)
    except DataError:
        # Scoring names it.
        return None
    area = place(height, width, COMPARED_SIZE, note.geometry).target
    return fingerprint(pair.identifier, preprocess(square, note.preprocessing)[area.slices])
