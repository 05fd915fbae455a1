"""Running a benchmark: every cell that is not done yet, on an engine, until all are or time is over."""

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from dermseg.benchmark.arguments import BenchmarkArguments, Request
from dermseg.benchmark.cell import Job, Outcome, tidy
from dermseg.benchmark.engines.engine import Engine
from dermseg.benchmark.plan import Plan
from dermseg.benchmark.preparation import prepare_benchmark
from dermseg.benchmark.state import is_done, read_state
from dermseg.benchmark.status import Survey, print_status, survey, time_left
from dermseg.console import say
from dermseg.devices import resolve_device

_LOOK = 5.0
"""Seconds between two looks at all cells, for the bar."""


def run_benchmark(request: Request, console: Console | None = None) -> Survey:
    """Run a benchmark, or go on with the one in its folder, and say how far it has come.

    Every cell writes into its own folder and is run by one process at a time, so that several of these may
    work on one folder, from several machines too. Killed at any moment, it goes on with the same results.

    Args:
        request: What a command asks for.
        console: Where to report; standard output by default.

    Returns:
        How far the benchmark has come.

    Raises:
        ConfigError: An argument is wrong, or the engine is not there.
        DataError: The data cannot be used.
        KeyboardInterrupt: The user stopped it; it can go on.
    """
    console = console or Console()
    a = request.arguments
    deadline = None if a.time_budget is None else time.time() + 60 * a.time_budget
    plan = prepare_benchmark(request, console)
    engine = create_engine(a, plan)
    try:
        _run(a, plan, engine, deadline, console)
    except KeyboardInterrupt:
        submitted = "Jobs that were submitted go on; scancel ends them. " if a.engine == "slurm" else ""
        say(console, f"\nStopped. {submitted}Continue with: {_command(a)}")
        raise
    found = survey(a.out, plan)
    print_status(found, console)
    if len(found.having("done")) == len(found.cells):
        say(console, f"The report: {shlex.join(['dermseg', 'benchmark', 'report', str(a.out)])}")
    else:
        over = "The time budget is over. " if deadline is not None and time.time() >= deadline else ""
        say(console, f"{over}Continue with: {_command(a)}")
    return found


def create_engine(arguments: BenchmarkArguments, plan: Plan) -> Engine:
    """Make the engine that is asked for.

    Raises:
        ConfigError: It is not installed, or its options are wrong.
    """
    a = arguments
    if a.engine == "ray":
        from dermseg.benchmark.engines.ray import RayCluster

        return RayCluster(a.workers, a.engine_options)
    if a.engine == "slurm":
        from dermseg.benchmark.engines.slurm import SlurmArray

        return SlurmArray(a.workers, a.engine_options)
    from dermseg.benchmark.engines.local import InProcess, Processes

    if a.workers == 0:
        return InProcess()
    device = resolve_device(plan.settings.get("device", "auto"))
    if device.type != "cuda":
        return Processes(a.workers)
    import torch

    return Processes(a.workers, torch.cuda.device_count())


def _run(
    arguments: BenchmarkArguments, plan: Plan, engine: Engine, deadline: float | None, console: Console
) -> None:
    """Try every cell that is not done, and those that fail once more, as often as allowed."""
    a = arguments
    jobs = [
        Job(
            str(a.out.resolve()),
            cell.system.label,
            cell.fold,
            cell.seed,
            deadline,
            a.keep_masks,
            a.keep_weights,
        )
        for cell in plan.cells()
    ]
    left = []
    for job in jobs:
        if is_done(job.folder):
            tidy(job.folder, a.keep_weights)
        else:
            left.append(job)
    for attempt in range(1, a.attempts + 1):
        if not left:
            break
        with _monitor(a.out, plan, console) as monitor:
            engine.run(left, monitor)
        left = monitor.failed
        if left and attempt < a.attempts and not (deadline and time.time() >= deadline):
            say(console, f"{len(left)} failed; trying once more")


class _Report:
    """Prints a line for every cell that ends, and moves the bar."""

    def __init__(self, results: Path, plan: Plan, console: Console, bar: Progress) -> None:
        self.failed: list[Job] = []
        self._results, self._plan, self._console, self._bar = results, plan, console, bar
        self._task = bar.add_task("", total=1.0, cells="", left="")
        self._looked = 0.0
        self.tick()

    def ended(self, outcome: Outcome) -> None:
        """Print what became of a cell."""
        if outcome.ending == "failed":
            self.failed.append(outcome.job)
        state = read_state(outcome.job.folder)
        seconds = state.seconds if state else None
        words = {
            "done": f"done in {timedelta(seconds=round(seconds or 0))}",
            "failed": f"failed: {outcome.error}",
            "paused": "stopped for now",
            "elsewhere": "is run by another process",
        }[outcome.ending]
        if outcome.ending != "paused":
            say(self._console, f"{outcome.job.name}: {words}")
        self._looked = 0.0

    def tick(self) -> None:
        """Move the bar, now and then."""
        if self._console.is_terminal and time.monotonic() - self._looked > _LOOK:
            self._looked = time.monotonic()
            found = survey(self._results, self._plan)
            cells = f"{len(found.having('done'))} of {len(found.cells)} cells"
            self._bar.update(self._task, completed=found.share, cells=cells, left=time_left(found))


@contextmanager
def _monitor(results: Path, plan: Plan, console: Console) -> Iterator[_Report]:
    bar = Progress(
        TextColumn("{task.fields[cells]}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with bar:
        yield _Report(results, plan, console, bar)


def _command(arguments: BenchmarkArguments) -> str:
    """Return the words that continue a benchmark; the folder knows the rest."""
    a = arguments
    words = ["dermseg", "benchmark", "run", "--out", str(a.out)]
    if a.engine != "local":
        words += ["--engine", a.engine]
        words += [
            word
            for key, value in a.engine_options.items()
            for word in (f"--engine_options.{key}", str(value))
        ]
    if a.workers != 1:
        words += ["--workers", str(a.workers)]
    return shlex.join(words)
