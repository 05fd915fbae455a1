"""A split: three lists of identifiers that share none, and their checksum."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from dermseg.data.pairs import listing
from dermseg.errors import DataError

SIDES = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Three lists of identifiers that share none.

    Raises:
        DataError: An identifier occurs twice.
    """

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    origin: Mapping[str, Any] = field(default_factory=dict)
    """How the split was made: command, seed, source. Not part of the checksum."""

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for side in SIDES:
            for identifier in getattr(self, side):
                if identifier in seen:
                    raise DataError(
                        f"Split {self.name}: {identifier} is in {seen[identifier]} and again in {side}; "
                        "an image may be on one side only."
                    )
                seen[identifier] = side

    @property
    def identifiers(self) -> tuple[str, ...]:
        """All identifiers: train, validation, test."""
        return self.train + self.validation + self.test

    @property
    def warning(self) -> str:
        """What is wrong with the protocol that the split belongs to; empty if nothing is known to be."""
        return str(self.origin.get("warning", ""))

    @property
    def reservations(self) -> dict[str, Any]:
        """What every result on this split has to say: `warning` and `leaks`, where there are any."""
        return {key: self.origin[key] for key in ("warning", "leaks") if self.origin.get(key)}

    @cached_property
    def checksum(self) -> str:
        """SHA-256 (hexadecimal) over the sides, each with its sorted identifiers, one a line."""
        lines = [line for side in SIDES for line in (f"[{side}]", *sorted(getattr(self, side)))]
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()

    def check(self, identifiers: Iterable[str]) -> None:
        """Check that the data have every identifier of the split; they may have more.

        Raises:
            DataError: Some are missing. Results on what is left would not be results on this split.
        """
        known = set(identifiers)
        missing = [identifier for identifier in self.identifiers if identifier not in known]
        if missing:
            raise DataError(
                f"Split {self.name} needs {len(missing):,} images that the data lack: {listing(missing)}. "
                "Point to the data the split was made for, or draw a new split."
            )
