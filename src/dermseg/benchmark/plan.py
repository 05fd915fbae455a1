"""What a benchmark consists of: systems, folds and seeds over one data set, kept in benchmark.json."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dermseg.benchmark.systems import System
from dermseg.data.layouts import LAYOUTS, Layout
from dermseg.data.splits import Split, load_split
from dermseg.errors import ConfigError, DataError
from dermseg.files import read_json, write_json

VERSION = 1
"""Raised when the files of a benchmark change meaning."""
MOST_CELLS = 100_000
"""Cells beyond which folds or seeds are taken for a mistake: listing them alone would fill the memory."""


@dataclass(frozen=True)
class Data:
    """The images that every system is trained and tested on."""

    name: str
    sha256: str
    """Of the sorted identifiers, one a line: the same images, wherever they lie."""
    images: int
    folder: str
    """Where they were when the benchmark ran last."""
    layout: Layout
    masks: str | None
    """Folder of the masks, where they are not inside the data folder."""
    pixels: Mapping[str, str] = field(default_factory=dict)
    """Checksum of images and masks in each form that a system trains on. A benchmark begun before it was kept
    has none."""


def cell_name(label: str, fold: int, seed: int) -> str:
    """Name a cell: its path below `cells`, and what messages call it."""
    return f"{label}/fold-{fold}-seed-{seed}"


@dataclass(frozen=True)
class Cell:
    """One system on one fold with one seed."""

    system: System
    fold: int
    """Counted from 1."""
    seed: int
    """Counted from 0; of the network's first weights and of the training's draws, not of the folds."""

    @property
    def name(self) -> str:
        """See `cell_name`."""
        return cell_name(self.system.label, self.fold, self.seed)


@dataclass(frozen=True)
class Plan:
    """The grid system x fold x seed, and what all its cells share.

    Raises:
        ConfigError: There are more than `MOST_CELLS` cells.
    """

    name: str
    systems: tuple[System, ...]
    epochs: Mapping[str, int]
    """Of each label, so that nothing has to be worked out to tell how far a cell is."""
    recipe: str
    """'common', one protocol for all, or 'own', each network as its authors trained it."""
    folds: int
    seeds: int
    data: Data
    settings: Mapping[str, Any]
    """Training arguments of every cell that differ from the recipe."""
    allow_leak: bool
    command: str
    """Words that began the benchmark."""
    created: str

    def __post_init__(self) -> None:
        if len(self.systems) * self.folds * self.seeds > MOST_CELLS:
            raise ConfigError(
                f"{len(self.systems)} systems, {self.folds} folds and {self.seeds} seeds make more than "
                f"{MOST_CELLS:,} cells; use fewer seeds, or fewer folds"
            )

    def cells(self) -> list[Cell]:
        """List the cells, fold by fold, so that a benchmark stopped early compares all systems on some."""
        return [
            Cell(system, fold, seed)
            for seed in range(self.seeds)
            for fold in range(1, self.folds + 1)
            for system in self.systems
        ]

    def cell(self, label: str, fold: int, seed: int) -> Cell:
        """Look a cell up.

        Raises:
            ConfigError: The grid has no such cell.
        """
        name = cell_name(label, fold, seed)
        for cell in self.cells():
            if cell.name == name:
                return cell
        raise ConfigError(f"the benchmark has no cell {name}")


def plan_file(results: Path) -> Path:
    """Name the file that makes a folder a benchmark."""
    return results / "benchmark.json"


def cell_folder(results: Path, cell: Cell) -> Path:
    """Name the folder of a cell."""
    return results / "cells" / cell.name


def split_file(results: Path, fold: int) -> Path:
    """Name the file of a fold's split."""
    return results / "splits" / f"fold-{fold}.json"


def read_split(results: Path, fold: int) -> Split:
    """Read the split of a fold.

    Raises:
        DataError: The file is missing or was changed.
    """
    return load_split(split_file(results, fold))


def write_plan(results: Path, plan: Plan) -> None:
    """Write benchmark.json."""
    values = {"version": VERSION, **asdict(plan)}
    models = [
        {
            "label": system.label,
            "model": system.model,
            "model_arguments": dict(system.model_arguments),
            "epochs": plan.epochs[system.label],
        }
        for system in plan.systems
    ]
    del values["systems"], values["epochs"]
    write_json(plan_file(results), {**values, "models": models})


def read_plan(results: Path) -> Plan:
    """Read benchmark.json.

    Args:
        results: Folder of the benchmark.

    Raises:
        DataError: There is none, or it is damaged or of another version of the package.
    """
    path = plan_file(results)
    if not path.is_file():
        raise DataError(
            f"{results} holds no benchmark (it has no {path.name}); "
            f"`dermseg benchmark run --models ... --data ... --out {results}` starts one"
        )
    values = read_json(path)
    if values is not None and values.get("version") != VERSION:
        raise DataError(
            f"{path} is of version {values.get('version')}, this dermseg reads {VERSION}; "
            "continue it with the dermseg that began it"
        )
    try:
        return _plan(values or {})
    except (KeyError, TypeError, ValueError, OverflowError, ConfigError) as error:
        raise DataError(
            f"{path} is damaged ({error!r}); restore it, or begin another benchmark in another folder"
        ) from error


def _plan(values: Mapping[str, Any]) -> Plan:
    models = values["models"]
    systems = tuple(System(row["label"], row["model"], dict(row["model_arguments"])) for row in models)
    plan = Plan(
        name=str(values["name"]),
        systems=systems,
        epochs={row["label"]: int(row["epochs"]) for row in models},
        recipe=str(values["recipe"]),
        folds=int(values["folds"]),
        seeds=int(values["seeds"]),
        data=_data(values["data"]),
        settings=dict(values["settings"]),
        allow_leak=bool(values["allow_leak"]),
        command=str(values["command"]),
        created=str(values["created"]),
    )
    if not 2 <= plan.folds <= plan.data.images:
        raise ValueError(f"it has {plan.folds} folds of {plan.data.images} images")
    if plan.seeds < 1 or min(plan.epochs.values(), default=1) < 1:
        raise ValueError("a number of seeds or epochs is below 1")
    return plan


def _data(values: Mapping[str, Any]) -> Data:
    data = Data(**values)
    if data.layout not in LAYOUTS:
        raise ValueError(f"there is no layout {data.layout!r}")
    if not isinstance(data.pixels, dict):
        raise TypeError(f"pixels is {data.pixels!r}")
    return data
