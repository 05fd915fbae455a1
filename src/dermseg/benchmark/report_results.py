"""What a benchmark has stored, read for its report: nothing is computed anew, and nothing heavy is imported.

A cell whose files are damaged is left out with the reason, as is one that has not run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermseg.benchmark.plan import Cell, Plan, cell_folder, read_plan, read_split
from dermseg.benchmark.report_checks import check_scores, read_facts
from dermseg.benchmark.state import read_state
from dermseg.benchmark.systems import System
from dermseg.data.groups import merged
from dermseg.errors import DataError
from dermseg.evaluation.calibration import Calibration, read_calibration
from dermseg.evaluation.metrics import COUNTS, METRICS, PooledScores, pool
from dermseg.evaluation.table import read_columns

AVERAGED = tuple(name for name in METRICS if name != "accuracy")
"""Per-image scores that are averaged. Accuracy tells systems least apart: most pixels are skin to all."""

_STATES = {"running": "unfinished", "failed": "failed"}
"""What a cell without scores is called: one that says running may have been killed."""


@dataclass(frozen=True, eq=False)
class CellResult:
    """One system on one fold with one seed."""

    cell: Cell
    folder: Path
    state: str
    """done, unfinished, failed, not run, or damaged."""
    error: str = ""
    """Why it failed, or what is damaged."""
    facts: Mapping[str, Any] | None = None
    """Of cell.json."""
    identifiers: tuple[str, ...] = ()
    scores: Mapping[str, NDArray[np.float64]] | None = None
    """Every metric and pixel count, in the order of `identifiers`; None unless done."""

    @property
    def curve(self) -> list[dict[str, float]]:
        """The epochs of the training: what each measured; none where the file is missing or damaged."""
        try:
            columns = read_columns(self.folder / "run" / "metrics.csv", "epoch")[1]
        except DataError:
            return []
        return [
            dict(zip(columns, values, strict=True))
            for values in zip(*map(list, columns.values()), strict=True)
        ]

    @property
    def calibration(self) -> Calibration | None:
        """Binned probabilities over the test images; None where there are none."""
        try:
            return read_calibration(self.folder / "calibration.json")
        except DataError:
            return None


@dataclass(frozen=True, eq=False)
class SystemResult:
    """All cells of one system."""

    system: System
    cells: tuple[CellResult, ...]

    @property
    def label(self) -> str:
        """Name of the row."""
        return self.system.label

    @cached_property
    def done(self) -> tuple[CellResult, ...]:
        """Cells with scores."""
        return tuple(cell for cell in self.cells if cell.scores is not None)

    @property
    def folds(self) -> frozenset[int]:
        """Folds with scores of at least one seed."""
        return frozenset(cell.cell.fold for cell in self.done)

    @cached_property
    def images(self) -> dict[str, dict[str, float]]:
        """Scores of every test image, averaged over seeds: identifier to metric to value, by identifier."""
        collected: dict[str, dict[str, list[float]]] = {}
        for cell in self.done:
            for name, values in (cell.scores or {}).items():
                for identifier, value in zip(cell.identifiers, values.tolist(), strict=True):
                    collected.setdefault(identifier, {}).setdefault(name, []).append(value)
        return {
            identifier: {name: sum(values) / len(values) for name, values in metrics.items()}
            for identifier, metrics in sorted(collected.items())
        }

    def values(self, metric: str) -> NDArray[np.float64]:
        """Give the scores of a metric, one per image, by identifier."""
        return np.array([scores[metric] for scores in self.images.values()])

    def worst(self, count: int) -> list[tuple[str, dict[str, float]]]:
        """Give the images of the lowest Dice with their scores; equal ones by identifier."""
        return sorted(self.images.items(), key=lambda entry: (entry[1]["dice"], entry[0]))[:count]

    def pooled(self) -> PooledScores:
        """Compute Dice and IoU over the pixels of all test images; of several seeds, their mean counts."""
        return pool(*(self.values(name) for name in COUNTS))

    def cost(self, name: str) -> float | None:
        """Give the median over cells of a number of cell.json; None where no cell has it."""
        given = [(cell.facts or {}).get(name) for cell in self.done]
        numbers = [float(value) for value in given if isinstance(value, int | float)]
        return float(np.median(numbers)) if numbers else None

    @property
    def progress(self) -> str:
        """Say how many of its cells are done, and what became of the others."""
        others = [cell.state for cell in self.cells if cell.scores is None]
        if not others:
            return f"{len(self.cells)} of {len(self.cells)}"
        if len(set(others)) == 1 and not self.done:
            return others[0]
        kinds = ", ".join(f"{others.count(kind)} {kind}" for kind in sorted(set(others)))
        return f"{len(self.done)} of {len(self.cells)} ({kinds})"


@dataclass(frozen=True, eq=False)
class Results:
    """A benchmark."""

    folder: Path
    plan: Plan
    systems: tuple[SystemResult, ...]
    """In the order of the plan."""
    lesions: Mapping[str, str]
    """Label of the lesion or patient of an image, where it shares it with others."""

    @property
    def sizes(self) -> set[tuple[int, int]]:
        """Sizes (height, width) of the test images, where cells tell."""
        tables = [cell.scores or {} for cell in self.cells]
        return {
            (int(height), int(width))
            for table in tables
            if {"height", "width"} <= table.keys()
            for height, width in zip(table["height"], table["width"], strict=True)
        }

    @property
    def cells(self) -> list[CellResult]:
        """All cells, system by system."""
        return [cell for system in self.systems for cell in system.cells]

    def clusters(self, identifiers: Sequence[str]) -> list[str | None]:
        """Give the lesion of each image, None where it stands alone."""
        return [self.lesions.get(identifier) for identifier in identifiers]


def read_results(folder: Path) -> Results:
    """Read a benchmark.

    Args:
        folder: Folder that `dermseg benchmark run` wrote.

    Raises:
        DataError: It holds no benchmark, or its plan is damaged.
    """
    plan = read_plan(folder)
    cells = [_read_cell(folder, cell) for cell in plan.cells()]
    systems = tuple(
        SystemResult(
            system, tuple(sorted((cell for cell in cells if cell.cell.system == system), key=_fold_and_seed))
        )
        for system in plan.systems
    )
    return Results(folder, plan, systems, _lesions(folder, plan))


def _fold_and_seed(cell: CellResult) -> tuple[int, int]:
    return cell.cell.fold, cell.cell.seed


def _read_cell(results: Path, cell: Cell) -> CellResult:
    folder = cell_folder(results, cell)
    state = read_state(folder)
    if state is None:
        return CellResult(cell, folder, "not run")
    if state.state != "done":
        return CellResult(cell, folder, _STATES[state.state], state.error or "")
    try:
        identifiers, scores = read_columns(folder / "per_image.csv", "identifier")
        check_scores(folder / "per_image.csv", identifiers, scores, read_split(results, cell.fold).test)
        facts = read_facts(folder / "cell.json")
    except DataError as error:
        return CellResult(cell, folder, "damaged", str(error))
    return CellResult(cell, folder, "done", "", facts, identifiers, scores)


def _lesions(results: Path, plan: Plan) -> dict[str, str]:
    """Read from the splits which images show one lesion or patient: they were kept on one side."""
    for fold in range(1, plan.folds + 1):
        try:
            return merged(read_split(results, fold).origin.get("kept_together", []))
        except (DataError, TypeError, ValueError):
            continue
    return {}
