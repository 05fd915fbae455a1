"""Cells on a Slurm cluster: one job array, submitted by submitit."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dermseg.benchmark.cell import Job, Outcome, note_crash
from dermseg.benchmark.engines.engine import TICK, Monitor
from dermseg.errors import ConfigError
from dermseg.installing import installing


class SlurmArray:
    """Runs each cell as a job of one array; the nodes must share the results, the data and the cache.

    A job that is preempted or reaches its time limit is queued again, and goes on from its last epoch. Jobs
    that wait or run are left in the queue when this process ends: a later one finds what they did.

    Args:
        workers: Jobs at a time.
        options: Passed to submitit: `cluster` ('slurm', 'local' or 'debug'), and the parameters of its
            executor, such as `timeout_min`, `slurm_partition`, `gpus_per_node`, `cpus_per_task`, `mem_gb`.

    Raises:
        ConfigError: submitit is not installed.
    """

    def __init__(self, workers: int, options: Mapping[str, Any]) -> None:
        try:
            import submitit
        except ImportError as error:
            raise ConfigError(f"the engine slurm needs submitit: {installing('submitit')}") from error
        self._submitit = submitit
        self._cluster = options.get("cluster", "slurm")
        self._parameters = {key: value for key, value in options.items() if key != "cluster"}
        self._workers = workers

    def run(self, jobs: Sequence[Job], monitor: Monitor) -> None:
        """See `Engine.run`."""
        # submitit must be there to define it.
        from dermseg.benchmark.engines.slurm_task import CellTask

        executor = self._executor(Path(jobs[0].results) / "slurm")
        pending = dict(zip(jobs, executor.map_array(CellTask(), jobs), strict=True))
        while pending:
            for job, submitted in list(pending.items()):
                if submitted.done():
                    monitor.ended(self._outcome(submitted, job))
                    del pending[job]
            monitor.tick()
            if pending:
                time.sleep(TICK)

    def _executor(self, logs: Path) -> Any:  # noqa: ANN401 (submitit has no types)
        try:
            executor = self._submitit.AutoExecutor(folder=logs / "%j", cluster=self._cluster)
            if self._cluster == "slurm":
                executor.update_parameters(slurm_array_parallelism=self._workers)
            executor.update_parameters(name="dermseg", **self._parameters)
        except (RuntimeError, ValueError, NameError, TypeError) as error:
            raise ConfigError(f"engine_options: submitit does not take them: {error}") from error
        return executor

    def _outcome(self, submitted: Any, job: Job) -> Outcome:  # noqa: ANN401 (submitit's own type)
        try:
            outcome: Outcome = submitted.result()
        except Exception as error:
            # run_cell keeps its own failures to itself: this job was killed, or its node broke.
            last = str(error).strip().split("\n")[-1]
            return note_crash(job, f"job {submitted.job_id}: {last}")
        return outcome
