"""Cells on this machine, each in a process of its own, so that none can take another down."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from dermseg.benchmark.cell import Job, Outcome, note_crash, run_cell
from dermseg.benchmark.engines.engine import TICK, Monitor
from dermseg.benchmark.engines.worker import ENDINGS
from dermseg.benchmark.state import read_state


class InProcess:
    """Runs cells one after the other in this process: the quickest for tiny ones, and for a debugger."""

    def run(self, jobs: Sequence[Job], monitor: Monitor) -> None:
        """See `Engine.run`; here, a cell that crashes the interpreter ends everything."""
        for job in jobs:
            monitor.tick()
            monitor.ended(run_cell(job))


class Processes:
    """Runs each cell in a new process, several at a time.

    Args:
        workers: Processes at a time.
        gpus: GPUs of this machine to share out; 0 leaves the choice to each process.
    """

    def __init__(self, workers: int, gpus: int = 0) -> None:
        self.workers = workers
        self._running: set[subprocess.Popen[bytes]] = set()
        self._slots: SimpleQueue[dict[str, str]] = SimpleQueue()
        visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
        for slot in range(workers):
            names = visible or [str(number) for number in range(gpus)]
            self._slots.put({"CUDA_VISIBLE_DEVICES": names[slot % len(names)]} if gpus > 1 else {})
        self._stopping = False
        self._changing = Lock()
        """Held while a process is added, and while all are told to stop: none is missed, or told twice."""

    def run(self, jobs: Sequence[Job], monitor: Monitor) -> None:
        """See `Engine.run`."""
        with ThreadPoolExecutor(self.workers) as pool:
            pending = {pool.submit(self._run, job) for job in jobs}
            try:
                while pending:
                    done, pending = wait(pending, timeout=TICK, return_when=FIRST_COMPLETED)
                    for future in done:
                        monitor.ended(future.result())
                    monitor.tick()
            except BaseException:
                self._stop()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _run(self, job: Job) -> Outcome:
        """Run one cell and wait for its process; called by a thread of the pool."""
        # A process takes seconds to find out that there is no time left.
        if self._stopping or (job.deadline is not None and time.time() >= job.deadline):
            return Outcome(job, "paused")
        slot = self._slots.get()
        try:
            return self._watch(job, slot)
        finally:
            self._slots.put(slot)

    def _watch(self, job: Job, slot: dict[str, str]) -> Outcome:
        job.folder.mkdir(parents=True, exist_ok=True)
        with (job.folder / "log.txt").open("ab") as log:
            # A process of its own group does not get the terminal's Ctrl-C; `_stop` passes it on, once.
            process = subprocess.Popen(
                worker_command(job),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, **slot},
                start_new_session=True,
            )
        with self._changing:
            self._running.add(process)
            too_late = self._stopping
        if too_late:
            _interrupt(process)
        try:
            status = process.wait()
        finally:
            self._running.discard(process)
            # Not before: the worker takes the end of its input for the end of this process.
            assert process.stdin is not None
            process.stdin.close()
        if status in ENDINGS:
            state = read_state(job.folder)
            return Outcome(job, ENDINGS[status], None if state is None else state.error)
        if self._stopping:
            return Outcome(job, "paused")
        return note_crash(job, _reason(status, job.folder))

    def _stop(self) -> None:
        """Have every process end its cell in order, as Ctrl-C does."""
        with self._changing:
            self._stopping = True
            running = tuple(self._running)
        for process in running:
            _interrupt(process)


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError, ValueError):
        process.send_signal(signal.SIGINT)


def worker_command(job: Job) -> list[str]:
    """Return the words that start the process of a cell."""
    return [sys.executable, "-m", "dermseg.benchmark.engines.worker", json.dumps(asdict(job))]


def _reason(status: int, folder: Path) -> str:
    log = folder / "log.txt"
    if status < 0:
        name = signal.Signals(-status).name if -status in set(signal.Signals) else str(-status)
        hint = "; was there too little memory?" if -status == signal.SIGKILL else ""
        return f"its process was ended by signal {name}{hint} See {log}"
    return f"its process ended with status {status}. See the end of {log}"
