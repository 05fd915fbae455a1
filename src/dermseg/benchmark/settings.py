"""The training arguments of a cell: the recipe, the benchmark's settings over it, and the cell's own."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dermseg.benchmark.plan import Cell, Plan, cell_folder, split_file
from dermseg.benchmark.systems import System
from dermseg.errors import ConfigError
from dermseg.training.arguments import RUNTIME, TrainArguments
from dermseg.training.command import parse
from dermseg.training.configuration import read_yaml

OWNED = {
    "model": "--models",
    "model_arguments": "--models",
    "recipe": "--recipe",
    "data": "--data",
    "layout": "--layout",
    "masks": "--masks",
    "groups": "--groups",
    "split": "--folds",
    "test": "--folds",
    "seed": "--seeds",
    "out": "--out",
    "time_budget": "--time_budget",
    "allow_leak": "--allow_leak",
    "synthetic_images": "`dermseg data synthesize`",
}
"""Training arguments that the benchmark sets itself, and what decides them."""


def changes_results(name: str) -> bool:
    """Whether a training argument may change the scores; the others are free when a benchmark goes on.

    On a CPU, sums depend on the number of threads, and other devices round differently.
    """
    return name not in RUNTIME or name in ("threads", "device")


def system_arguments(system: System, recipe: str, settings: Mapping[str, Any]) -> TrainArguments:
    """Return what all cells of a system have in common.

    Args:
        system: Of the benchmark.
        recipe: Of the benchmark.
        settings: Of the benchmark.

    Raises:
        ConfigError: A setting is unknown, impossible, or the benchmark's own to decide; or the recipe of the
            system's authors is not known.
    """
    for name in settings:
        if name in OWNED:
            raise ConfigError(f"settings.{name} is for {OWNED[name]} to decide; leave it out")
        if name not in TrainArguments.__dataclass_fields__ or name == "resume":
            raise ConfigError(f"settings.{name}: `dermseg train` has no such option")
    words = ["--model", system.model, "--recipe", recipe]
    words += ["--model_arguments", json.dumps(dict(system.model_arguments))]
    words += [f"--{name}={_word(value)}" for name, value in settings.items()]
    try:
        return parse(words)
    except ConfigError as error:
        raise ConfigError(f"{system.label}: {error}") from error


def cell_arguments(plan: Plan, results: Path, cell: Cell) -> TrainArguments:
    """Return the arguments of a cell's training, which starts or continues in its `run` folder.

    Raises:
        ConfigError: As `system_arguments`.
    """
    run = cell_folder(results, cell) / "run"
    arguments = system_arguments(cell.system, plan.recipe, plan.settings)
    arguments.data = plan.data.folder
    arguments.layout = plan.data.layout
    arguments.masks = None if plan.data.masks is None else Path(plan.data.masks)
    arguments.seed = cell.seed
    arguments.allow_leak = plan.allow_leak
    arguments.split = _split(results, cell, run)
    arguments.out, arguments.resume = run, True
    return arguments


def _split(results: Path, cell: Cell, run: Path) -> str:
    """Name the split as the run began with it: the results may have been moved, and it has a copy."""
    if (run / "config.yaml").exists() and isinstance(
        name := read_yaml(run / "config.yaml").get("split"), str
    ):
        return name
    return str(split_file(results, cell.fold))


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
