"""The systems of a benchmark: a network by name, or one of its variants under a label of its own."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from dermseg.errors import ConfigError

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+=,-]{0,99}")
"""A label names a folder, on any file system."""


@dataclass(frozen=True)
class System:
    """A network with its arguments: one row of the table of results.

    Raises:
        ConfigError: The label cannot name a folder.
    """

    label: str
    model: str
    """Name in the registry."""
    model_arguments: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the network that differ from its defaults."""

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.label):
            raise ConfigError(
                f"models: the label {self.label!r} cannot name a folder; use up to 100 letters, digits and "
                "_.+=,- (in a YAML file, `label: ...` beside `model: ...`)"
            )


def read_system(given: object) -> System:
    """Understand one entry of `models`.

    Args:
        given: A word, `unet` or `xlstm_vmunet+xlstm_layers=s+fusion=rows`, which is the label too; or a
            mapping with `model` and, where they differ from the defaults, `model_arguments` and `label`.

    Raises:
        ConfigError: It is neither.
    """
    if isinstance(given, str):
        model, *changes = given.split("+")
        return System(given, model, dict(_argument(change, given) for change in changes))
    if not isinstance(given, Mapping) or not isinstance(given.get("model"), str):
        raise ConfigError(f"models: {given!r} is neither a name nor a mapping with `model`")
    if unknown := sorted(map(str, given.keys() - {"label", "model", "model_arguments"})):
        raise ConfigError(
            f"models: {given['model']} has an entry '{unknown[0]}'; there are label, model, model_arguments"
        )
    arguments = given.get("model_arguments") or {}
    if not isinstance(arguments, Mapping):
        raise ConfigError(
            f"models: the model_arguments of {given['model']} are no mapping of names to values"
        )
    changes = [f"{key}={value}" for key, value in arguments.items()]
    label = given.get("label") or "+".join([given["model"], *changes])
    return System(str(label), given["model"], dict(arguments))


def read_systems(given: Iterable[object]) -> tuple[System, ...]:
    """Understand all entries of `models`.

    Raises:
        ConfigError: One cannot be understood, or two have one label.
    """
    systems = tuple(read_system(entry) for entry in given)
    # Folders of some file systems do not tell upper case from lower.
    labels = [system.label.lower() for system in systems]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise ConfigError(f"models: two systems are labelled {twice[0]}; give one of them another label")
    return systems


def _argument(change: str, word: str) -> tuple[str, Any]:
    key, equals, value = change.partition("=")
    if not (key and equals):
        raise ConfigError(
            f"models: {word!r} should be NAME or NAME+ARGUMENT=VALUE, as in xlstm_vmunet+xlstm_layers=s"
        )
    try:
        return key, yaml.safe_load(value) if value else ""
    except yaml.YAMLError as error:
        raise ConfigError(f"models: the value of {key} in {word!r} cannot be read") from error
