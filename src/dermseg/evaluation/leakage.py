"""Refusing to score a network on images it has learned from: by name, by picture, by lesion or patient."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dermseg.data.duplicates import Fingerprint, References, near_duplicates_between
from dermseg.data.duplicates.note import Note, read_note
from dermseg.data.groups import Group
from dermseg.data.pairs import listing
from dermseg.errors import CheckpointError, ConfigError, DataError
from dermseg.models.weights import notes_of_members

SHAPING = ("train", "validation")
"""Sides of a split that shape a network: by gradients, and by choosing the epoch."""

MOST_EARLIER = 100
"""Trainings one after the other; more are taken for damage."""

_ISIC = re.compile(r"isic_?(\d{7})", re.IGNORECASE)
"""The number of an image in the ISIC archive, which all ISIC data sets share."""


@dataclass(frozen=True)
class Learned:
    """The images that shaped a network."""

    sides: Mapping[str, tuple[str, ...]]
    """Identifiers by side, `train` and `validation`."""
    note: Note = field(default_factory=Note)
    """Their fingerprints, and what of the images these show."""
    split: str | None = None
    """Checksum of the split it was trained on, if the weights say so; of an ensemble, if members share it."""
    others: "tuple[Learned, ...]" = ()
    """Images that shaped the weights which training started from, and the other members of an ensemble."""
    complete: bool = True
    """Whether every member of an ensemble says what it learned from."""

    def names(self, part: str) -> tuple[str, ...]:
        """Identifiers that may not be among the images of a side that is scored.

        Scoring the validation side on purpose is what choosing an epoch does, so then only training images
        count.
        """
        return (*self._own_names(part), *(name for other in self.others for name in other.names(part)))

    def known_pictures(self, part: str) -> list[References]:
        """Fingerprints of the images that `names` lists, as far as there are any."""
        pictures = self.note.pictures
        own = [] if pictures is None else [pictures.first(len(self._own_names(part)))]
        return own + [known for other in self.others for known in other.known_pictures(part)]

    @property
    def pictured(self) -> bool:
        """Whether the fingerprints of all these images are known."""
        return self.note.pictures is not None and all(other.pictured for other in self.others)

    def divided(self, split: str | None) -> "tuple[Learned, Learned]":
        """Set apart the images that trainings on one split learned from.

        Args:
            split: Checksum of a split.

        Returns:
            The images of that split, if it is the network's own, and all others; either may be none.
        """
        own: list[Learned] = []
        others: list[Learned] = []
        for training in self._trainings():
            (own if split is not None and self.split == training.split == split else others).append(training)
        nothing: dict[str, tuple[str, ...]] = dict.fromkeys(SHAPING, ())
        return Learned(nothing, others=tuple(own)), Learned(nothing, others=tuple(others))

    def _trainings(self) -> "list[Learned]":
        """Give this training without others, and the others likewise."""
        return [replace(self, others=()), *(one for other in self.others for one in other._trainings())]

    def _own_names(self, part: str) -> tuple[str, ...]:
        return tuple(name for side in self._counting(part) for name in self.sides[side])

    @staticmethod
    def _counting(part: str) -> tuple[str, ...]:
        return SHAPING[:1] if part == "validation" else SHAPING


@dataclass(frozen=True, slots=True)
class Leak:
    """An image to be scored that shaped the network, or is too close to one that did."""

    identifier: str
    learned: str
    """The image that shaped the network."""
    reason: str
    """What they have in common."""


def read_learned(weights: Path) -> Learned | None:
    """Read which images shaped a network.

    Args:
        weights: A weight file which `load_model` accepts.

    Returns:
        The images, or None if training left no note of them.

    Raises:
        CheckpointError: The note is damaged.
    """
    said = [_learned(notes, weights) for notes in notes_of_members(weights)]
    found = [learned for learned in said if learned is not None]
    if not found:
        return None
    first, *rest = found
    return replace(
        first,
        others=(*first.others, *rest),
        split=first.split if {member.split for member in found} == {first.split} else None,
        complete=len(found) == len(said),
    )


def _learned(notes: object, weights: Path, depth: int = 0) -> Learned | None:
    if depth > MOST_EARLIER:
        raise _damaged(weights, f"its note of earlier trainings names more than {MOST_EARLIER}")
    split = notes.get("split") if isinstance(notes, dict) else None
    if not (isinstance(notes, dict) and isinstance(split, dict)):
        return None
    sides: dict[str, tuple[str, ...]] = {}
    for side in SHAPING:
        names = split.get(side, [])
        if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise _damaged(weights, f"its note of the {side} images is no list of names")
        sides[side] = tuple(names)
    note, checksum = notes.get("fingerprints"), split.get("checksum")
    if not isinstance(checksum, str | None):
        raise _damaged(weights, "the checksum in its note of the split is no text")
    earlier = _learned(notes.get("earlier"), weights, depth + 1)
    others = () if earlier is None else (earlier,)
    if not isinstance(note, dict):
        return Learned(sides, split=checksum, others=others)
    try:
        return Learned(sides, read_note(sides["train"], sides["validation"], note), checksum, others)
    except (ValueError, ConfigError) as error:
        raise _damaged(
            weights, f"its note of the pictures it learned from is unreadable ({error})"
        ) from error


def leaks_by_name(learned: Learned, identifiers: Iterable[str], part: str = "test") -> list[Leak]:
    """List the images that carry the names of images which shaped a network.

    The numbers of the ISIC archive are compared whatever stands around them, since its images are in several
    data sets, and downloads name them variously.

    Args:
        learned: As `read_learned` gives it.
        identifiers: Images about to be scored.
        part: Which side of a split they are.
    """
    known = {_canonical(name): name for name in learned.names(part)}
    return [
        Leak(identifier, known[_canonical(identifier)], "the same name")
        for identifier in identifiers
        if _canonical(identifier) in known
    ]


def leaks_by_group(
    learned: Learned, identifiers: Iterable[str], groups: Iterable[Group], part: str = "test"
) -> list[Leak]:
    """List the images that show a lesion or patient of whom another image shaped a network.

    Args:
        learned: As `read_learned` gives it.
        identifiers: Images about to be scored.
        groups: Images of one lesion or patient, of those that shaped the network too.
        part: Which side of a split they are.
    """
    known, scored = set(learned.names(part)), set(identifiers)
    return [
        Leak(identifier, next(name for name in group.identifiers if name in known), group.reason)
        for group in groups
        if known.intersection(group.identifiers)
        for identifier in group.identifiers
        if identifier in scored and identifier not in known
    ]


def leaks_by_picture(learned: Learned, fingerprints: Sequence[Fingerprint], part: str = "test") -> list[Leak]:
    """List the near-duplicates of images that shaped a network, whatever their names.

    Args:
        learned: As `read_learned` gives it; without pictures nothing is found.
        fingerprints: Of images about to be scored.
        part: Which side of a split they are.
    """
    return [
        Leak(one.first, one.second, f"the same picture, correlation {one.correlation:.2f}")
        for known in learned.known_pictures(part)
        for one in near_duplicates_between(fingerprints, known)
    ]


def refuse_leaks(leaks: Sequence[Leak], total: int) -> None:
    """Stop an evaluation that would flatter the network.

    Args:
        leaks: What was found.
        total: Number of images about to be scored.

    Raises:
        DataError: There are leaks.
    """
    if not leaks:
        return
    names = list(dict.fromkeys(leak.identifier for leak in leaks))
    if all(leak.reason == "the same name" for leak in leaks):
        found = f"carry the names of images that shaped this network: {listing(names)}"
    else:
        pairs = [f"{leak.identifier} and {leak.learned} ({leak.reason})" for leak in leaks]
        found = f"are too close to images that shaped this network: {listing(pairs)}"
    raise DataError(
        f"{len(names):,} of the {total:,} images {found}. It was trained on those, or its epoch was chosen "
        "by them, so the scores would be too good. Score images it never saw (--split RUN/split.json --part "
        "test). Where this is wanted, or other images happen to have these names, pass --allow-leak; the "
        "results then say so."
    )


def _canonical(name: str) -> str:
    number = _ISIC.search(name)
    return f"ISIC_{number[1]}" if number else name


def _damaged(weights: Path, fault: str) -> CheckpointError:
    return CheckpointError(
        f"{weights} is damaged: {fault}; fetch the file again, or take the one in the run folder."
    )
