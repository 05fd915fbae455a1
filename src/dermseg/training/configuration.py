"""Layers of configuration: recipes, presets, YAML files, and the file a run leaves beside its results."""

from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from dermseg import __version__
from dermseg.errors import ConfigError
from dermseg.files import write_text
from dermseg.training.arguments import TrainArguments
from dermseg.words import one_line
from dermseg.yaml_text import load_yaml

_OPTIONS = TrainArguments.__dataclass_fields__.keys() - {"out", "resume"}
"""What `save_configuration` writes."""


def presets() -> list[str]:
    """Return the names of the presets that come with the package."""
    return _names("presets")


def read_preset(name: str) -> dict[str, Any]:
    """Return the fields that a preset sets.

    Raises:
        ConfigError: There is no such preset.
    """
    if name not in presets():
        raise ConfigError(f"there is no preset '{name}'; there are {', '.join(presets())}")
    return _packaged("presets", name)


def recipes() -> list[str]:
    """Return the names of the networks whose released training is known."""
    return _names("recipes")


def read_recipe(model: str) -> dict[str, Any]:
    """Return the fields with which the authors of a network trained it, `model` and `recipe` among them.

    `TrainArguments(**read_recipe("unet"))` is their training; what they do not say stays at its default.

    Raises:
        ConfigError: The training of this network is not known, or there is no such network.
    """
    if model not in recipes():
        raise ConfigError(
            f"recipe own: the released training of '{model}' is not known; it is of {', '.join(recipes())}. "
            "Use recipe common"
        )
    return {"model": model, "recipe": "own", **_packaged("recipes", model)}


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the fields that a YAML file sets; their names and types are checked by the command's parser.

    Raises:
        ConfigError: The file is missing, is not YAML that says each thing once, or is not a mapping.
    """
    try:
        values = load_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"the configuration {path} cannot be read as YAML: {one_line(error)}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"the configuration {path} must be lines of 'name: value'")
    return values


def overlay(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one layer over another; mappings merge key by key as long as they are about the same thing.

    `model_arguments` belong to the model named beside them, `loss_arguments` to the loss: a layer that names
    another one starts from none. Where none is named beside them, they are for the one that is chosen
    elsewhere. Fields of `augmentation` belong to their preset, which is `default` where none is named.

    An upper layer that names every option, as a run's config.yaml does, is a whole experiment: nothing is
    merged into it.
    """
    merged = {**lower, **upper}
    if upper.keys() >= _OPTIONS:
        return merged
    for name, owner in (("model_arguments", "model"), ("loss_arguments", "loss")):
        same = owner not in lower or upper.get(owner, lower[owner]) == lower[owner]
        _merge(merged, name, lower if same else {}, upper)
    preset = _mapping(lower, "augmentation").get("preset", "default")
    same = _mapping(upper, "augmentation").get("preset", preset) == preset
    _merge(merged, "augmentation", lower if same else {}, upper)
    return merged


def _merge(merged: dict[str, Any], name: str, lower: Mapping[str, Any], upper: Mapping[str, Any]) -> None:
    # What is no mapping stays, for the parser to name.
    if name in merged and isinstance(merged[name] or {}, Mapping):
        merged[name] = {**_mapping(lower, name), **_mapping(upper, name)}


def _mapping(layer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = layer.get(name)
    return value if isinstance(value, Mapping) else {}


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


def _names(folder: str) -> list[str]:
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in files("dermseg.training").joinpath(folder).iterdir()
        if entry.name.endswith(".yaml")
    )


def _packaged(folder: str, name: str) -> dict[str, Any]:
    text = files("dermseg.training").joinpath(folder, f"{name}.yaml").read_text(encoding="utf-8")
    values: dict[str, Any] = yaml.safe_load(text)
    return values
