"""Everything that decides a benchmark, and the words of `dermseg benchmark run` for it. Free of torch."""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, set_parsing_settings

from dermseg.benchmark.systems import read_systems
from dermseg.data.layouts import Layout
from dermseg.errors import ConfigError
from dermseg.parser import Parser
from dermseg.training.configuration import overlay, read_yaml
from dermseg.words import one_line, underscored


@dataclass
class BenchmarkArguments:
    """Arguments of `dermseg benchmark run`.

    Raises:
        ConfigError: A value is outside its range; the message names the field.
    """

    models: list[Any] = field(default_factory=list)
    """Networks by name; in a YAML file also mappings of label, model and model_arguments."""

    data: str | None = None
    """Folder of a data set. To continue a benchmark it is needed only if the images have moved."""

    layout: Layout = "auto"
    """How the data folder is laid out."""

    masks: Path | None = None
    """Folder of the masks, where it is not inside the data folder."""

    groups: Path | None = None
    """Table (CSV) with lesion_id or patient_id of every image, which keeps images together; one beside the
    data is found without this."""

    folds: int = 5
    """Parts of the data; each is the test side once."""

    seeds: int = 1
    """Trainings of every system on every fold, each from other first weights."""

    recipe: Literal["common", "own"] = "common"
    """'common': one protocol for all, or 'own': each network as its authors trained it."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Options of `dermseg train` for every cell, over the recipe, e.g. --settings.epochs 30"""

    name: str | None = None
    """Title of the report; by default the name of the data."""

    out: Path = Path("runs/benchmark")
    """Folder of the results. A benchmark that is there is continued; systems and seeds may be added."""

    engine: Literal["local", "ray", "slurm"] = "local"
    """Where cells run: processes of this machine, a Ray cluster, or a Slurm cluster."""

    workers: int = 1
    """Cells at a time. With 0, the local engine runs them in this process, one after the other."""

    engine_options: dict[str, Any] = field(default_factory=dict)
    """ray: address, num_cpus, num_gpus; slurm: what submitit takes, e.g.
    --engine_options.slurm_partition gpu"""

    time_budget: float | None = None
    """Stop after this many minutes, at the end of an epoch; the same command continues."""

    attempts: int = 2
    """Times that a failing cell is tried before it is left as failed."""

    allow_leak: bool = False
    """Let near-duplicates stand on two sides of a fold; the results say so."""

    keep_masks: bool = False
    """Keep every predicted mask at the size of its image, not reduced to 512 pixels."""

    keep_weights: bool = False
    """Keep the weights and checkpoints of finished cells."""

    def __post_init__(self) -> None:
        least = {"folds": 2, "seeds": 1, "workers": 0, "attempts": 1}
        for name, minimum in least.items():
            if getattr(self, name) < minimum:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least {minimum}")
        if self.workers == 0 and self.engine != "local":
            raise ConfigError(f"workers is 0, which only the local engine understands, not {self.engine}")
        if self.engine_options and self.engine == "local":
            raise ConfigError("engine_options are for the engines ray and slurm; the local one has none")
        budget = self.time_budget
        if budget is not None and not (budget > 0 and math.isfinite(budget)):
            raise ConfigError(f"time_budget is {budget}; it must be a number of minutes above 0")
        read_systems(self.models)


@dataclass(frozen=True)
class Request:
    """What a command asks for."""

    arguments: BenchmarkArguments
    given: frozenset[str]
    """Fields that the words or files name; the others have their defaults, or what is in the folder."""
    words: tuple[str, ...] = ()
    """Of the command."""


def parse(words: Sequence[str]) -> Request:
    """Return what command-line words ask for; a flag wins over a `--config` file, of several files the later.

    Args:
        words: The words after `dermseg benchmark run`.

    Raises:
        ConfigError: A word, a name or a value is not understood; the message says which, and in which file.
        SystemExit: After printing the help that the words ask for.
    """
    parser = build_parser()
    try:
        given = parser.parse_args(underscored(words), defaults=False).as_dict()
    except argparse.ArgumentError as error:
        raise ConfigError(f"{one_line(error)}. See dermseg benchmark run --help") from error
    values: dict[str, Any] = {}
    for path in given.pop("config", None) or []:
        values = _over(values, _read_layer(parser, Path(path)))
    values = _over(values, given)
    for key in ("out", "masks", "groups"):
        if values.get(key) is not None:
            values[key] = Path(values[key])
    return Request(BenchmarkArguments(**values), frozenset(values), tuple(words))


def build_parser() -> ArgumentParser:
    """Return the parser behind `dermseg benchmark run --help`."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = Parser("benchmark run", "Train and test every system on every fold. Flags win over --config.")
    parser.add_argument(
        "--config", action="append", metavar="YAML", help="File of these options; repeatable."
    )
    parser.add_argument(
        "--models",
        nargs="+",
        metavar="NAME",
        help="Networks by name (`dermseg models` lists them), or variants such as "
        "xlstm_vmunet+xlstm_layers=s; in a file also mappings of label, model and model_arguments.",
    )
    parser.add_class_arguments(BenchmarkArguments, None, skip={"models"})
    parser.let_flags_stand_alone()
    return parser


def _read_layer(parser: ArgumentParser, path: Path) -> dict[str, Any]:
    layer = read_yaml(path)
    known = {entry.name for entry in fields(BenchmarkArguments)}
    if unknown := [str(key) for key in layer if key not in known]:
        raise ConfigError(
            f"configuration {path}: there is no option '{unknown[0]}'. See dermseg benchmark run --help"
        )
    # The parser knows a list of words only; what the entries mean is read in `BenchmarkArguments`.
    models = layer.pop("models", None)
    try:
        values: dict[str, Any] = parser.parse_object(layer, defaults=False).as_dict()
    except argparse.ArgumentError as error:
        raise ConfigError(f"configuration {path}: {one_line(error)}") from error
    if models is None:
        return values
    if not isinstance(models, list):
        raise ConfigError(f"configuration {path}: models must be a list")
    return {**values, "models": models}


def _over(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one layer over another; `engine_options` merge key by key, `settings` as those of a training."""
    merged = {**lower, **upper}
    if "engine_options" in merged:
        merged["engine_options"] = {
            **(lower.get("engine_options") or {}),
            **(upper.get("engine_options") or {}),
        }
    if "settings" in merged:
        merged["settings"] = overlay(lower.get("settings") or {}, upper.get("settings") or {})
    return merged
