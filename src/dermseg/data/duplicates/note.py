"""The note of a network's images that goes with its weights, by which `dermseg evaluate` knows them again.

It lies beside the lists of identifiers: `{"version", "geometry", "preprocessing", "hashes", "signs"}`, where
a row belongs to an identifier, those of the train side first. An image takes 288 bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dermseg.data.duplicates.fingerprint import Fingerprint
from dermseg.data.duplicates.references import References
from dermseg.data.geometry import Geometry, check_geometry
from dermseg.data.preprocessing.table import check_steps
from dermseg.data.splits import Split


@dataclass(frozen=True)
class Note:
    """What a note says of the images that shaped a network."""

    pictures: References | None = None
    """Their fingerprints, train before validation; None if there are none, or another version wrote them."""
    geometry: Geometry = "squash"
    """How images were brought into squares before their fingerprints were taken: `crop` shows the middle."""
    preprocessing: tuple[str, ...] = ()
    """What was done to the squares then: names in `dermseg.data.preprocessing.table`."""


def write_note(
    split: Split, fingerprints: Iterable[Fingerprint], geometry: Geometry, preprocessing: Sequence[str] = ()
) -> dict[str, Any]:
    """Give the note of the images that shape a network: they train it, or choose its epoch.

    Args:
        split: Of the training.
        fingerprints: Of its images, in any order.
        geometry: How images were brought into squares before their fingerprints were taken.
        preprocessing: What was done to the squares then.
    """
    known = {one.identifier: one for one in fingerprints}
    references = References.of([known[name] for name in (*split.train, *split.validation)])
    return {"geometry": geometry, "preprocessing": [*preprocessing], **references.pack()}


def read_note(train: Sequence[str], validation: Sequence[str], note: Mapping[str, Any]) -> Note:
    """Read a note.

    Args:
        train: Identifiers of the train side, in the order of the split.
        validation: Likewise.
        note: What `write_note` gave.

    Raises:
        ValueError: The note is damaged.
        ConfigError: It names an unknown geometry or preprocessing step.
    """
    # Notes of earlier versions name no steps.
    steps = note.get("preprocessing", [])
    if not isinstance(steps, list):
        raise ValueError("preprocessing is no list of steps")
    return Note(
        References.unpack([*train, *validation], note),
        check_geometry(str(note.get("geometry"))),
        tuple(check_steps([str(step) for step in steps])),
    )
