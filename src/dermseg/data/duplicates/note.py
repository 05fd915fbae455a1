"""The note of a network's images that goes with its weights, by which `dermseg evaluate` knows them again.

It lies beside the lists of identifiers: `{"version", "geometry", "hashes", "signs"}`, where a row belongs to$
an identifier, those of the train side first. An image takes 288 bytes; no picture can be made of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dermseg.data.duplicates.fingerprint import Fingerprint
from dermseg.data.duplicates.references import References
from dermseg.data.geometry import Geometry, check_geometry
from dermseg.data.splits import Split


def write_note(split: Split, fingerprints: Iterable[Fingerprint], geometry: Geometry) -> dict[str, Any]:
    """Give the note of the images that shape a network: they train it, or choose its epoch.

    Args:
        split: Of the training.
        fingerprints: Of its images, in any order.
        geometry: How images were brought into squares before their fingerprints were taken.
    """
    known = {one.identifier: one for one in fingerprints}
    references = References.of([known[name] for name in (*split.train, *split.validation)])
    return {"geometry": geometry, **references.pack()}


def read_note(
    train: Sequence[str], validation: Sequence[str], note: Mapping[str, Any]
) -> tuple[References | None, Geometry]:
    """Read a note.

    Args:
        train: Identifiers of the train side, in the order of the split.
        validation: Likewise.
        note: What `write_note` gave.

    Returns:
        The images, or None if another version of the package wrote them; and how they were brought into
        squares.

    Raises:
        ValueError: The note is damaged.
        ConfigError: It names an unknown geometry.
    """
    return References.unpack([*train, *validation], note), check_geometry(str(note.get("geometry")))
