"""What of a benchmark is done, running, left and failed, and how long the rest will take."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import mean
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dermseg.benchmark.plan import Cell, Plan, cell_folder, read_plan
from dermseg.benchmark.state import State, epochs_done, is_done, is_held, read_state
from dermseg.console import say
from dermseg.paths import printable

Standing = Literal["done", "running", "left", "failed"]
_LISTED = 10
"""Failed cells that are printed with their reasons."""


@dataclass(frozen=True)
class CellStatus:
    """How far a cell is."""

    cell: Cell
    standing: Standing
    """A cell that was stopped, or whose process was killed, is 'left', with the epochs it has."""
    epochs: int
    """Finished ones."""
    planned: int
    """Epochs of its training, unless its patience ends first."""
    seconds: float | None
    """Time spent on it so far, as far as known."""
    state: State | None


@dataclass(frozen=True)
class Survey:
    """A benchmark at one moment."""

    plan: Plan
    cells: tuple[CellStatus, ...]

    def having(self, standing: Standing) -> list[CellStatus]:
        """List the cells of one kind."""
        return [status for status in self.cells if status.standing == standing]

    @property
    def share(self) -> float:
        """How much of all epochs is done, from 0 to 1."""
        done = sum(s.planned if s.standing == "done" else min(s.epochs, s.planned) for s in self.cells)
        return done / max(1, sum(status.planned for status in self.cells))

    def seconds_left(self) -> float | None:
        """Estimate the time that all cells not yet done will take one after the other.

        A cell takes as long as the finished ones of its system; where none is finished, its epochs so far
        say; where no epoch is, the mean of the other systems. None before the first epoch of all.
        """
        known = {system.label: self._seconds_of(system.label) for system in self.plan.systems}
        measured = [seconds for seconds in known.values() if seconds is not None]
        if not measured:
            return None
        total = 0.0
        for status in self.cells:
            if status.standing != "done":
                seconds = known[status.cell.system.label]
                total += (mean(measured) if seconds is None else seconds) * _share_left(status)
        return total

    def _seconds_of(self, label: str) -> float | None:
        """Estimate the time that one whole cell of a system takes."""
        cells = [status for status in self.cells if status.cell.system.label == label and status.seconds]
        done = [status.seconds or 0.0 for status in cells if status.standing == "done"]
        begun = [
            (status.seconds or 0.0) / status.epochs * status.planned
            for status in cells
            if status.standing != "done" and status.epochs
        ]
        return mean(done or begun) if done or begun else None


def survey(results: Path, plan: Plan | None = None) -> Survey:
    """Look at every cell of a benchmark.

    Args:
        results: Folder of the benchmark.
        plan: Its plan, if that has been read.

    Raises:
        DataError: There is no benchmark, or its plan is damaged.
    """
    plan = plan or read_plan(results)
    return Survey(plan, tuple(_status(results, plan, cell) for cell in plan.cells()))


def print_status(found: Survey, console: Console) -> None:
    """Print the table, the cells that run or have failed, and the time that is left."""
    console.print(_table(found))
    for status in found.having("running"):
        state = status.state or State("running")
        say(
            console,
            f"running: {status.cell.name}, epoch {status.epochs} of {status.planned}, "
            f"process {state.pid} on {state.host}",
        )
    failed = found.having("failed")
    for status in failed[:_LISTED]:
        reason = status.state.error if status.state else None
        say(console, f"failed: {status.cell.name}: {reason or 'no reason was noted'}")
    if len(failed) > _LISTED:
        say(console, f"failed: and {len(failed) - _LISTED} more")
    say(console, summary_line(found))


def summary_line(found: Survey) -> str:
    """Say in one line how far a benchmark is."""
    parts = [f"{len(found.having('done'))} of {len(found.cells)} cells are done"]
    parts += [
        f"{len(found.having(kind))} {kind}" for kind in ("running", "left", "failed") if found.having(kind)
    ]
    return ", ".join(parts) + f"; {time_left(found)}" * (len(found.having("done")) < len(found.cells))


def time_left(found: Survey) -> str:
    """Say how long the rest takes, with as many cells at a time as run now."""
    seconds = found.seconds_left()
    if seconds is None:
        return "the time it takes is not known before an epoch has ended"
    at_a_time = max(1, len(found.having("running")))
    words = f"about {timedelta(seconds=round(seconds / at_a_time))} to go"
    return words + (f" with {at_a_time} at a time" if at_a_time > 1 else "")


def _status(results: Path, plan: Plan, cell: Cell) -> CellStatus:
    folder = cell_folder(results, cell)
    state, curve = read_state(folder), folder / "run" / "metrics.csv"
    standing: Standing = "left"
    if state is not None and is_done(folder):
        standing = "done"
    elif state is not None and is_held(folder):
        standing = "running"
    elif state is not None and state.state == "failed":
        standing = "failed"
    epochs, planned = epochs_done(curve), plan.epochs[cell.system.label]
    return CellStatus(cell, standing, epochs, planned, _seconds(state, curve, epochs), state)


def _seconds(state: State | None, curve: Path, epochs: int) -> float | None:
    """Return the time spent, from the state or from the epochs of a sitting that has not been noted there."""
    if state is None:
        return None
    if state.seconds is not None:
        return state.seconds
    sitting = epochs - state.epochs_before
    if state.started is None or sitting < 1:
        return None
    try:
        elapsed = curve.stat().st_mtime - datetime.fromisoformat(state.started).timestamp()
    except (OSError, ValueError, OverflowError):
        return None
    return max(0.0, elapsed) / sitting * epochs


def _share_left(status: CellStatus) -> float:
    return max(0.0, 1 - status.epochs / status.planned)


def _table(found: Survey) -> Table:
    table = Table(title=Text(printable(found.plan.name)), title_justify="left")
    table.add_column("system", overflow="fold")
    for heading in ("done", "running", "left", "failed", "epochs"):
        table.add_column(heading, justify="right")
    for system in found.plan.systems:
        own = [status for status in found.cells if status.cell.system.label == system.label]
        counts = [_count(own, standing) for standing in ("done", "running", "left", "failed")]
        epochs = sum(status.epochs for status in own)
        table.add_row(system.label, *counts, f"{epochs:,} of {sum(status.planned for status in own):,}")
    return table


def _count(cells: Sequence[CellStatus], standing: str) -> str:
    return str(sum(status.standing == standing for status in cells) or "")
