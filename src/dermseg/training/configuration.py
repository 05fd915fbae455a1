"""Layers of configuration: presets, YAML files, and the file that a run leaves beside its results."""

from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from dermseg import __version__
from dermseg.errors import ConfigError
from dermseg.files import write_text
from dermseg.training.arguments import TrainArguments


def presets() -> list[str]:
    """Return the names of the presets that come with the package."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in _preset_folder().iterdir()
        if entry.name.endswith(".yaml")
    )


def read_preset(name: str) -> dict[str, Any]:
    """Return the fields that a preset sets.

    Raises:
        ConfigError: There is no such preset.
    """
    if name not in presets():
        raise ConfigError(f"there is no preset '{name}'; there are {', '.join(presets())}")
    values: dict[str, Any] = yaml.safe_load((_preset_folder() / f"{name}.yaml").read_text(encoding="utf-8"))
    return values


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the fields that a YAML file sets; their names and types are checked by the command's parser.

    Raises:
        ConfigError: The file is missing, is not YAML, or is not a mapping.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"the configuration {path} is not YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"the configuration {path} must be lines of 'name: value'")
    return values


def overlay(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one layer over another; `model_arguments` merge key by key.

    They belong to the model named beside them: a layer that names another model starts from none.
    """
    merged = {**lower, **upper}
    arguments = dict(upper.get("model_arguments") or {})
    if upper.get("model", lower.get("model", TrainArguments.model)) == lower.get(
        "model", TrainArguments.model
    ):
        arguments = {**(lower.get("model_arguments") or {}), **arguments}
    if arguments or "model_arguments" in merged:
        merged["model_arguments"] = arguments
    return merged


def save_configuration(path: Path, arguments: TrainArguments) -> None:
    """Write the arguments, without `out` and `resume`, as YAML that `dermseg train --config` takes."""
    values = asdict(arguments)
    del values["out"], values["resume"]
    for name in ("cache", "masks"):
        values[name] = values[name] and str(values[name])
    header = (
        f"# Written by dermseg {__version__}. The same experiment again: dermseg train --config THIS_FILE\n"
    )
    write_text(path, header + yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def _preset_folder() -> Traversable:
    return files("dermseg.training") / "presets"
