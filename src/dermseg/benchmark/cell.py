"""One cell: train, choose the epoch on validation, test, and leave everything in the cell's folder.

A cell may be stopped at any moment, by a kill too, and goes on from its last finished epoch. What it leaves
does not depend on where, when or in how many sittings it ran, times and memory apart.
"""

import os
import platform
import shutil
import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rich.console import Console

from dermseg.benchmark.measure import images_per_second, peak_memory_bytes, reset_peak_memory
from dermseg.benchmark.plan import Cell, Plan, cell_name, read_plan, read_split
from dermseg.benchmark.record import describe_cell
from dermseg.benchmark.settings import cell_arguments
from dermseg.benchmark.state import (
    State,
    claimed,
    epochs_done,
    is_done,
    now,
    read_state,
    write_state,
)
from dermseg.benchmark.testing import score_images
from dermseg.data.readers import read_collection
from dermseg.devices import resolve_device
from dermseg.errors import DermsegError
from dermseg.evaluation.report import per_image_csv
from dermseg.files import write_json, write_text
from dermseg.inference.predictor import Predictor
from dermseg.models.weights import load_model
from dermseg.training.run import train

Ending = Literal["done", "failed", "paused", "elsewhere"]
"""How an attempt ended: 'paused' when time ran out, 'elsewhere' where another process holds the cell."""


@dataclass(frozen=True)
class Job:
    """An attempt at a cell, small enough to be sent to another process or machine."""

    results: str
    label: str
    fold: int
    seed: int
    deadline: float | None = None
    """When to stop, in seconds since 1970."""
    keep_masks: bool = False
    keep_weights: bool = False

    @property
    def name(self) -> str:
        """Of the cell."""
        return cell_name(self.label, self.fold, self.seed)

    @property
    def folder(self) -> Path:
        """Of the cell."""
        return Path(self.results) / "cells" / self.name


@dataclass(frozen=True)
class Outcome:
    """What became of an attempt."""

    job: Job
    ending: Ending
    error: str | None = None


def run_cell(job: Job) -> Outcome:
    """Run a cell, or go on with it; one that is done stays as it is.

    Args:
        job: The cell, and how long there is.

    Returns:
        How it ended. What goes wrong inside a cell is noted in its folder, not raised.

    Raises:
        DataError: There is no benchmark.
        KeyboardInterrupt: The user stopped it; it can go on.
    """
    plan = read_plan(Path(job.results))
    cell = plan.cell(job.label, job.fold, job.seed)
    folder = job.folder
    with claimed(folder) as ours:
        if not ours:
            return Outcome(job, "elsewhere")
        if is_done(folder):
            tidy(folder, job.keep_weights)
            return Outcome(job, "done")
        if _minutes_left(job) == 0:
            return Outcome(job, "paused")
        state = _begin(folder)
        try:
            return Outcome(job, _run(job, plan, cell, folder, state))
        except Exception as error:
            # Of any kind: a network, a disk or a driver fails in its own way, and the grid goes on.
            return Outcome(job, "failed", _note_failure(folder, error))


def note_crash(job: Job, reason: str) -> Outcome:
    """Note that the process of a cell died, and how, unless the cell has come to another end meanwhile."""
    with claimed(job.folder) as ours:
        if not ours:
            return Outcome(job, "elsewhere")
        if is_done(job.folder):
            return Outcome(job, "done")
        return Outcome(job, "failed", _failed(job.folder, reason))


def _note_failure(folder: Path, error: Exception) -> str:
    """Write down that an attempt failed, and why; return the reason in one line."""
    write_text(folder / "error.txt", "".join(traceback.format_exception(error)))
    # An error of this package is meant to be read; the name of another one is part of what it says.
    return _failed(
        folder, str(error) if isinstance(error, DermsegError) else f"{type(error).__name__}: {error}"
    )


def _failed(folder: Path, reason: str) -> str:
    reason = " ".join(reason.split())[:1000]
    state = read_state(folder) or State("running")
    write_state(folder, replace(state, state="failed", error=reason, finished=now()))
    return reason


def tidy(folder: Path, keep_weights: bool) -> None:
    """Delete what a finished cell no longer needs."""
    (folder / "error.txt").unlink(missing_ok=True)
    if not keep_weights:
        shutil.rmtree(folder / "run" / "checkpoints", ignore_errors=True)
        (folder / "run" / "model.safetensors").unlink(missing_ok=True)


def _minutes_left(job: Job) -> float | None:
    """Return the minutes before the deadline, at least 0; None without one."""
    return None if job.deadline is None else max(0.0, (job.deadline - time.time()) / 60)


def _begin(folder: Path) -> State:
    earlier = read_state(folder)
    curve = folder / "run" / "metrics.csv"
    state = State(
        state="running",
        started=now(),
        epochs_before=epochs_done(curve),
        peak_memory_bytes=None if earlier is None else earlier.peak_memory_bytes,
        pid=os.getpid(),
        host=platform.node(),
    )
    write_state(folder, state)
    return state


def _run(job: Job, plan: Plan, cell: Cell, folder: Path, state: State) -> Ending:
    arguments = cell_arguments(plan, Path(job.results), cell)
    device = resolve_device(arguments.device)
    reset_peak_memory(device)
    with (folder / "log.txt").open("a", encoding="utf-8", errors="backslashreplace") as log:
        log.write(f"{now()} {cell.name}\n")
        result = train(replace(arguments, time_budget=_minutes_left(job)), Console(file=log, width=110))
    state = replace(state, seconds=round(result.history.seconds, 1))
    if len(result.history.epochs) > state.epochs_before:
        held = [peak_memory_bytes(device), state.peak_memory_bytes]
        state = replace(
            state, peak_memory_bytes=max((peak for peak in held if peak is not None), default=None)
        )
    write_state(folder, state)
    if not result.complete:
        return "paused"
    start = time.monotonic()
    predictor = Predictor(load_model(result.weights), device)
    _test(job, plan, cell, predictor, folder)
    measured = {
        "images_per_second": images_per_second(predictor.model, device),
        "peak_memory_bytes": state.peak_memory_bytes,
        "peak_memory_of": "tensors on the GPU" if device.type == "cuda" else "the process",
    }
    write_json(folder / "cell.json", describe_cell(plan, cell, arguments, result, measured))
    seconds = round(result.history.seconds + time.monotonic() - start, 1)
    write_state(folder, replace(state, state="done", error=None, finished=now(), seconds=seconds))
    tidy(folder, job.keep_weights)
    return "done"


def _test(job: Job, plan: Plan, cell: Cell, predictor: Predictor, folder: Path) -> None:
    data = plan.data
    collection = read_collection(
        Path(data.folder), data.layout, None if data.masks is None else Path(data.masks)
    )
    split = read_split(Path(job.results), cell.fold)
    images, calibration = score_images(
        predictor, collection.select(sorted(split.test)), folder / "masks", native=job.keep_masks
    )
    write_text(folder / "per_image.csv", per_image_csv(images))
    write_json(folder / "calibration.json", calibration.to_json())
