"""Which images train, validate and test: identifier lists with a checksum, drawn here or kept frozen."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from dermseg.data.pairs import listing
from dermseg.errors import ConfigError, DataError
from dermseg.files import write_json

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


def hold_out(
    identifiers: Iterable[str],
    *,
    validation: int | float = 0.1,
    test: int | float = 0.15,
    seed: int = 0,
    groups: Iterable[Sequence[str]] = (),
    name: str = "hold-out",
) -> Split:
    """Draw one split.

    The draw depends on the identifiers, the seed and the groups alone: not on the order of the
    identifiers, nor on a random generator that may change between releases.

    Args:
        identifiers: All identifiers, in any order.
        validation: Size of the validation side: a number of images (int), or a share of all (float).
        test: Size of the test side, likewise.
        seed: Another seed draws another split.
        groups: Sets of identifiers that must stay on one side, such as near-duplicates.
        name: Name of the split.

    Raises:
        ConfigError: The sides do not leave an image to train on.
    """
    units = _shuffled_units(identifiers, groups, seed)
    total = sum(map(len, units))
    sizes = {"test": _count(test, total, "test"), "validation": _count(validation, total, "validation")}
    if sum(sizes.values()) >= total:
        raise ConfigError(
            f"validation={validation} and test={test} leave nothing to train on: there are {total} images."
        )
    taken: dict[str, list[str]] = {}
    for side, size in sizes.items():
        taken[side], units = _take(units, size)
    origin = {"method": "hold_out", "seed": seed, "validation": validation, "test": test}
    train = [identifier for unit in units for identifier in unit]
    return _split(name, train, taken["validation"], taken["test"], origin)


def k_fold(
    identifiers: Iterable[str],
    *,
    folds: int = 5,
    validation: int | float = 0.1,
    seed: int = 0,
    groups: Iterable[Sequence[str]] = (),
    name: str = "k-fold",
) -> list[Split]:
    """Draw `folds` splits whose test sides are disjoint and together hold every identifier once.

    Args:
        identifiers: All identifiers, in any order.
        folds: Number of splits, at least 2.
        validation: Size of each validation side, drawn from what is not test: a number (int) or a share of
            what is not test (float).
        seed: Another seed draws other splits.
        groups: Sets of identifiers that must stay on one side.
        name: Beginning of the names of the splits.

    Raises:
        ConfigError: There are fewer images than folds, or nothing is left to train on.
    """
    units = _shuffled_units(identifiers, groups, seed)
    if not 2 <= folds <= len(units):
        raise ConfigError(f"folds={folds} must be from 2 to {len(units)}, the number of independent images.")
    tests: list[list[str]] = [[] for _ in range(folds)]
    for unit in units:
        min(tests, key=len).extend(unit)
    splits = []
    for number, test in enumerate(tests, start=1):
        rest = [unit for unit in units if unit[0] not in set(test)]
        total = sum(map(len, rest))
        size = _count(validation, total, "validation")
        if size >= total:
            raise ConfigError(
                f"validation={validation} leaves nothing to train on in a fold of {total} images."
            )
        chosen, rest = _take(rest, size)
        origin = {"method": "k_fold", "seed": seed, "folds": folds, "fold": number, "validation": validation}
        train = [identifier for unit in rest for identifier in unit]
        splits.append(_split(f"{name}-{number}-of-{folds}", train, chosen, test, origin))
    return splits


def save_split(split: Split, path: Path) -> None:
    """Write a split as JSON, with its checksum."""
    sides = {side: list(getattr(split, side)) for side in SIDES}
    write_json(path, {"name": split.name, "origin": dict(split.origin), "checksum": split.checksum, **sides})


def load_split(source: str | Path) -> Split:
    """Load a split that was frozen in the package, or one from a file.

    Args:
        source: A name from `frozen_splits()`, or the path of a JSON file that `save_split` wrote.

    Raises:
        DataError: There is no such split, the file is malformed, or its checksum does not fit its lists.
    """
    if str(source) in frozen_splits():
        text = (_FROZEN / f"{source}.json").read_text(encoding="utf-8")
    else:
        try:
            text = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"No split {source}: it is none of {', '.join(frozen_splits())} and not a file ({error})."
            ) from error
    return _parse(text, source)


def frozen_splits() -> tuple[str, ...]:
    """List the names of the splits that come with the package."""
    return tuple(sorted(entry.name.removesuffix(".json") for entry in _FROZEN.iterdir()))


_FROZEN = resources.files("dermseg.data") / "frozen"


def _parse(text: str, source: str | Path) -> Split:
    try:
        content = json.loads(text)
        sides = {side: content[side] for side in SIDES}
        if not all(
            isinstance(side, list) and all(isinstance(name, str) for name in side) for side in sides.values()
        ):
            raise TypeError("sides must be lists of strings")
        split = Split(
            name=str(content["name"]),
            origin=dict(content.get("origin", {})),
            **{side: tuple(values) for side, values in sides.items()},
        )
        stated = content["checksum"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{source} is not a split file ({error!r}); it needs name, checksum, {', '.join(SIDES)}."
        ) from error
    if stated != split.checksum:
        raise DataError(
            f"{source} was changed after it was written: its checksum is {split.checksum}, "
            f"it states {stated}. Restore the file, or save the changed lists as a new split."
        )
    return split


def _shuffled_units(
    identifiers: Iterable[str], groups: Iterable[Sequence[str]], seed: int
) -> list[tuple[str, ...]]:
    """Order what must stay together (a group, or one identifier) by a hash with the seed."""
    known = sorted(set(identifiers))
    unit_of: dict[str, tuple[str, ...]] = {identifier: (identifier,) for identifier in known}
    for group in groups:
        # Groups that share an identifier merge; identifiers that are not in the data do not matter.
        merged = sorted({member for name in group if name in unit_of for member in unit_of[name]})
        unit_of.update(dict.fromkeys(merged, tuple(merged)))

    def rank(unit: tuple[str, ...]) -> str:
        return hashlib.sha256(f"{seed}/{unit[0]}".encode("utf-8", "surrogatepass")).hexdigest()

    return sorted(set(unit_of.values()), key=rank)


def _take(units: Sequence[tuple[str, ...]], size: int) -> tuple[list[str], list[tuple[str, ...]]]:
    """Take units, in order, as long as they fit into `size` identifiers."""
    taken: list[str] = []
    rest: list[tuple[str, ...]] = []
    for unit in units:
        if len(taken) + len(unit) <= size:
            taken.extend(unit)
        else:
            rest.append(unit)
    return taken, rest


def _count(size: int | float, total: int, name: str) -> int:
    count = size if isinstance(size, int) else round(size * total)
    if size < 0 or (isinstance(size, float) and size >= 1):
        raise ConfigError(f"{name}={size} must be a number of images (0, 1, ...) or a share below 1.0.")
    return count


def _split(
    name: str, train: Iterable[str], validation: Iterable[str], test: Iterable[str], origin: Mapping[str, Any]
) -> Split:
    return Split(name, tuple(sorted(train)), tuple(sorted(validation)), tuple(sorted(test)), origin)
