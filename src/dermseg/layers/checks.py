"""Refusals of impossible constructor values, which name the argument and say what it must be."""

import math
from collections.abc import Sequence

from dermseg.errors import ConfigError


def check_whole(
    name: str, value: object, *, least: int = 1, most: int | None = None, multiple: int = 1
) -> None:
    """Refuse what is not a whole number in a range.

    Args:
        name: Of the argument.
        value: As given.
        least: Smallest number allowed.
        most: Largest number allowed, if there is one.
        multiple: What it must be a multiple of.

    Raises:
        ConfigError: If it is no `int`, out of the range or no multiple.
    """
    if not _is_whole(value, least, most, multiple):
        raise ConfigError(f"{name} must be a whole number {_limits(least, most, multiple)}, got {value!r}")


def check_wholes(name: str, values: object, count: int, *, least: int = 1, multiple: int = 1) -> None:
    """Refuse what is not a sequence of so many whole numbers.

    Args:
        name: Of the argument.
        values: As given.
        count: How many there must be.
        least: Smallest number allowed.
        multiple: What each must be a multiple of.

    Raises:
        ConfigError: If it is no sequence, not of this length, or a value is impossible.
    """
    given = list(values) if isinstance(values, Sequence) else []
    if len(given) != count or not all(_is_whole(value, least, None, multiple) for value in given):
        limits = _limits(least, None, multiple)
        raise ConfigError(f"{name} must be {count} whole numbers, each {limits}, got {values!r}")


def check_rate(name: str, value: object) -> None:
    """Refuse what is not a probability with which something is dropped.

    Raises:
        ConfigError: If it is no number, or not in [0, 1).
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ConfigError(f"{name} must be a number in [0, 1), got {value!r}")


def check_not_negative(name: str, value: object) -> None:
    """Refuse what is not a finite number of at least 0.

    Raises:
        ConfigError: If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ConfigError(f"{name} must be a number of at least 0, got {value!r}")


def check_flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False.

    Raises:
        ConfigError: If it is something else.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be True or False, got {value!r}")


def _is_whole(value: object, least: int, most: int | None, multiple: int) -> bool:
    # `True` is an int to isinstance, and no number of channels.
    if type(value) is not int:
        return False
    return least <= value <= (math.inf if most is None else most) and value % multiple == 0


def _limits(least: int, most: int | None, multiple: int) -> str:
    limits = f"of at least {least}" if most is None else f"from {least} to {most}"
    return limits if multiple == 1 else f"{limits} that is a multiple of {multiple}"
