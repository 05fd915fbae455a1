"""Drawing splits: by a hash of the identifiers, grouped, and stratified where strata are given."""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dermseg.data.splits.split import Split
from dermseg.errors import ConfigError

DRAW = 2
"""Version of the drawing of folds, which their origin names: another version gives other validation sides.
Folds whose origin names none are of version 1, whose validation sides are nearly the same in all folds."""
Unit = tuple[str, ...]
"""Identifiers that stay together, sorted."""


def hold_out(
    identifiers: Iterable[str],
    *,
    validation: int | float = 0.1,
    test: int | float = 0.2,
    seed: int = 0,
    groups: Iterable[Sequence[str]] = (),
    strata: Mapping[str, str] | None = None,
) -> Split:
    """Draw one split.

    The draw depends on the identifiers, the seed, the groups and the strata alone: not on the order of the
    identifiers, nor on a random generator that may change between releases.

    Args:
        identifiers: All identifiers, in any order.
        validation: Size of the validation side: a number of images (int), or a share of all (float).
        test: Size of the test side, likewise.
        seed: Another seed draws another split.
        groups: Sets of identifiers that must stay on one side, such as near-duplicates.
        strata: Kind of each image; every side gets its share of every kind. A group is of the kind of its
            first identifier.

    Raises:
        ConfigError: The sides do not leave an image to train on.
    """
    units = _spread(_shuffled_units(identifiers, groups, seed), strata, seed)
    total = sum(map(len, units))
    sizes = {"test": _count(test, total, "test"), "validation": _count(validation, total, "validation")}
    if sum(sizes.values()) >= total:
        raise ConfigError(
            f"validation={validation} and test={test} leave nothing to train on: there are {total} images."
        )
    taken: dict[str, list[str]] = {}
    for side, size in sizes.items():
        taken[side], units = _take(units, size)
    origin: dict[str, Any] = {"method": "hold_out", "seed": seed, "validation": validation, "test": test}
    origin |= _kinds(strata)
    train = [identifier for unit in units for identifier in unit]
    return _split("hold-out", train, taken["validation"], taken["test"], origin)


def k_fold(
    identifiers: Iterable[str],
    *,
    folds: int = 5,
    validation: int | float = 0.1,
    seed: int = 0,
    groups: Iterable[Sequence[str]] = (),
    strata: Mapping[str, str] | None = None,
    name: str = "k-fold",
) -> list[Split]:
    """Draw `folds` splits whose test sides are disjoint and together hold every identifier once.

    The validation sides are disjoint too, as far as `validation` leaves room for that: no few images choose
    the epochs of all folds, and every image is learned from in some fold.

    Args:
        identifiers: All identifiers, in any order.
        folds: Number of splits, at least 2.
        validation: Size of each validation side, drawn from what is not test: a number (int) or a share of
            what is not test (float).
        seed: Another seed draws other splits.
        groups: Sets of identifiers that must stay on one side.
        strata: Kind of each image; every side of every split gets its share of every kind.
        name: Beginning of the names of the splits.

    Raises:
        ConfigError: There are fewer images than folds, or nothing is left to train on.
    """
    units = _shuffled_units(identifiers, groups, seed)
    if not 2 <= folds <= len(units):
        raise ConfigError(f"folds={folds} must be from 2 to {len(units)}, the number of independent images.")
    tests: list[list[str]] = [[] for _ in range(folds)]
    for unit in _by_kind(units, strata):
        min(tests, key=len).extend(unit)
    units = _spread(units, strata, seed)
    splits = []
    for number, test in enumerate(tests, start=1):
        tested = set(test)
        rest = [unit for unit in units if unit[0] not in tested]
        total = sum(map(len, rest))
        size = _count(validation, total, "validation")
        if size >= total:
            raise ConfigError(
                f"validation={validation} leaves nothing to train on in a fold of {total} images."
            )
        # Each fold begins elsewhere: any stretch of the list has its share of every kind.
        begin = len(rest) * (number - 1) // folds
        chosen, rest = _take(rest[begin:] + rest[:begin], size)
        origin: dict[str, Any] = {
            "method": "k_fold",
            "seed": seed,
            "folds": folds,
            "fold": number,
            "validation": validation,
            "draw": DRAW,
        }
        origin |= _kinds(strata)
        train = [identifier for unit in rest for identifier in unit]
        splits.append(_split(f"{name}-{number}-of-{folds}", train, chosen, test, origin))
    return splits


def _shuffled_units(identifiers: Iterable[str], groups: Iterable[Sequence[str]], seed: int) -> list[Unit]:
    """Order what must stay together (a group, or one identifier) by a hash with the seed."""
    known = sorted(set(identifiers))
    unit_of: dict[str, Unit] = {identifier: (identifier,) for identifier in known}
    for group in groups:
        # Groups that share an identifier merge; identifiers that are not in the data do not matter.
        merged = sorted({member for name in group if name in unit_of for member in unit_of[name]})
        unit_of.update(dict.fromkeys(merged, tuple(merged)))
    return sorted(set(unit_of.values()), key=lambda unit: _rank(seed, unit[0]))


def _rank(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogatepass")).hexdigest()


def _by_kind(units: Sequence[Unit], strata: Mapping[str, str] | None) -> list[Unit]:
    """Put units of one kind side by side, each kind in its order: dealt out in turn, each is dealt evenly."""
    return sorted(units, key=lambda unit: strata.get(unit[0], "")) if strata else list(units)


def _spread(units: Sequence[Unit], strata: Mapping[str, str] | None, seed: int) -> list[Unit]:
    """Spread the units of every kind evenly, so that any stretch of the list has its share of each."""
    if not strata:
        return list(units)
    kinds: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        kinds[strata.get(unit[0], "")].append(unit)
    places = []
    for kind, members in kinds.items():
        # Where a kind begins is drawn too: rare kinds must not all come first, and go to one side.
        begin = int(_rank(seed, kind)[:8], 16) / 16**8
        places += [((index + begin) / len(members), unit) for index, unit in enumerate(members)]
    return [unit for _, unit in sorted(places)]


def _take(units: Sequence[Unit], size: int) -> tuple[list[str], list[Unit]]:
    """Take units, in order, as long as they fit into `size` identifiers."""
    taken: list[str] = []
    rest: list[Unit] = []
    for unit in units:
        if len(taken) + len(unit) <= size:
            taken.extend(unit)
        else:
            rest.append(unit)
    return taken, rest


def _count(size: int | float, total: int, name: str) -> int:
    if not 0 <= size < (1.0 if isinstance(size, float) else math.inf):
        raise ConfigError(f"{name}={size} must be a number of images (0, 1, ...) or a share below 1.0.")
    return size if isinstance(size, int) else round(size * total)


def _kinds(strata: Mapping[str, str] | None) -> dict[str, dict[str, int]]:
    return {"strata": dict(sorted(Counter(strata.values()).items()))} if strata else {}


def _split(
    name: str, train: Iterable[str], validation: Iterable[str], test: Iterable[str], origin: Mapping[str, Any]
) -> Split:
    return Split(name, tuple(sorted(train)), tuple(sorted(validation)), tuple(sorted(test)), origin)
