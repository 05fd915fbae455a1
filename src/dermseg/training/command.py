"""The words of `dermseg train` become `TrainArguments`: flags over YAML files over a preset over a recipe."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from dermseg.errors import ConfigError
from dermseg.parser import Parser
from dermseg.training.arguments import TrainArguments
from dermseg.training.configuration import overlay, presets, read_preset, read_recipe, read_yaml
from dermseg.words import one_line, underscored


def parse(words: Sequence[str]) -> TrainArguments:
    """Return the arguments that command-line words ask for.

    Whatever the order of the words, a flag wins over a `--config` file, that over a `--preset`, that over
    the network's own recipe, where `recipe: own` asks for it, and that over the defaults. Of several files
    the later wins. `--resume RUN` takes the run's own configuration, which holds its recipe already.

    Args:
        words: The words after `dermseg train`.

    Raises:
        ConfigError: A word, a name or a value is not understood; the message says which, and in which file.
        SystemExit: After printing the help that the words ask for.
    """
    parser = build_parser()
    given = _parse_words(parser, words)
    layers = {}
    resumed = given.pop("resume", False)
    if isinstance(resumed, str):
        given |= {"out": Path(resumed), "resume": True}
        layers[f"configuration of the run {resumed}"] = _run_configuration(Path(resumed))
    elif resumed:
        given["resume"] = True
    if preset := given.pop("preset", None):
        layers[f"preset {preset}"] = read_preset(preset)
    for path in given.pop("config", None) or []:
        layers[f"configuration {path}"] = read_yaml(Path(path))
    values: dict[str, Any] = {}
    for source, layer in layers.items():
        values = overlay(values, _checked(parser, layer, source))
    values = overlay(values, given)
    if values.get("recipe") == "own" and not isinstance(resumed, str):
        model = values.get("model", TrainArguments.model)
        values = overlay(_checked(parser, read_recipe(model), f"recipe {model}"), values)
    return TrainArguments(**values)


def build_parser() -> Parser:
    """Return the parser behind `dermseg train --help`."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = Parser("train", "Train a network. Flags win over --config, it over --preset, it over --recipe.")
    parser.add_argument("--preset", choices=presets(), help="Settings that come with the package.")
    parser.add_argument(
        "--config", action="append", metavar="YAML", help="File of these options; repeatable."
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const=True,
        default=False,
        metavar="RUN",
        help="Continue the run in this folder with its own configuration; without a folder, the run "
        "in --out, which is started where it has no epoch yet.",
    )
    parser.add_class_arguments(TrainArguments, None, skip={"resume"})
    parser.let_flags_stand_alone()
    return parser


def _parse_words(parser: ArgumentParser, words: Sequence[str]) -> dict[str, Any]:
    try:
        # Both --batch_size and --batch-size are understood.
        given = parser.parse_args(underscored(words), defaults=False)
    except argparse.ArgumentError as error:
        raise ConfigError(f"{one_line(error)}. See dermseg train --help") from error
    return _plain(given)


def _checked(parser: ArgumentParser, layer: dict[str, Any], source: str) -> dict[str, Any]:
    allowed = TrainArguments.__dataclass_fields__.keys() - {"resume"}
    if unknown := [str(key) for key in layer if key not in allowed]:
        raise ConfigError(f"{source}: there is no option '{unknown[0]}'. See dermseg train --help")
    try:
        return _plain(parser.parse_object(layer, defaults=False))
    except argparse.ArgumentError as error:
        raise ConfigError(f"{source}: {one_line(error)}") from error


def _plain(given: Namespace) -> dict[str, Any]:
    values = given.as_dict()
    for key in ("out", "cache", "masks"):
        if values.get(key) is not None:
            values[key] = Path(values[key])
    return values


def _run_configuration(folder: Path) -> dict[str, Any]:
    path = folder / "config.yaml"
    if not path.is_file():
        raise ConfigError(f"{folder} is not a run folder: it has no config.yaml. Nothing to resume there")
    return read_yaml(path)
