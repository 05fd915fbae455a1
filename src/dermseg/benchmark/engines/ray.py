"""Cells on a Ray cluster: one task each, on an existing cluster or on one that is started here."""

from collections.abc import Mapping, Sequence
from typing import Any

from dermseg.benchmark.cell import Job, Outcome, note_crash, run_cell
from dermseg.benchmark.engines.engine import TICK, Monitor
from dermseg.errors import ConfigError
from dermseg.installing import installing

RETRIES = 3
"""Times that Ray starts a task again whose worker or machine died; the cell goes on from its last epoch."""
_GRACE = 60.0
"""Seconds that cells have to end in order when the user stops."""
OPTIONS = ("address", "num_cpus", "num_gpus")


class RayCluster:
    """Runs cells as tasks of a Ray cluster, whose machines must share the results, the data and the cache.

    Args:
        workers: Cells at a time, on a cluster that is started here; an existing one runs as many as fit.
        options: `address` of an existing cluster ('auto' for one on this machine); `num_cpus` and `num_gpus`
            that one cell occupies: by default one CPU, and one GPU where the cluster has any.

    Raises:
        ConfigError: Ray is not installed, or there is no such option or cluster.
    """

    def __init__(self, workers: int, options: Mapping[str, Any]) -> None:
        if unknown := sorted(set(options) - set(OPTIONS)):
            raise ConfigError(f"engine_options.{unknown[0]}: the engine ray has {', '.join(OPTIONS)}")
        try:
            import ray
        except ImportError as error:
            raise ConfigError(f"the engine ray needs Ray: {installing('ray')}") from error
        self._ray = ray
        self._needs = {key: options[key] for key in ("num_cpus", "num_gpus") if key in options}
        self._address = options.get("address")
        self._workers = workers

    def run(self, jobs: Sequence[Job], monitor: Monitor) -> None:
        """See `Engine.run`."""
        ray = self._ray
        started = not ray.is_initialized()
        if started:
            self._connect()
        try:
            needs = {"num_gpus": min(1, int(ray.cluster_resources().get("GPU", 0))), **self._needs}
            # A process per task: what one cell leaves in memory is not there for the next.
            task = ray.remote(max_retries=RETRIES, max_calls=1, **needs)(run_cell)
            pending = {task.remote(job): job for job in jobs}
            while pending:
                done, _ = ray.wait(list(pending), num_returns=1, timeout=TICK)
                for reference in done:
                    monitor.ended(self._outcome(reference, pending.pop(reference)))
                monitor.tick()
        except KeyboardInterrupt:
            for reference in pending:
                ray.cancel(reference, force=False)
            if pending:
                ray.wait(list(pending), num_returns=len(pending), timeout=_GRACE)
            raise
        finally:
            if started:
                ray.shutdown()

    def _connect(self) -> None:
        local = {} if self._address else {"num_cpus": self._workers * self._needs.get("num_cpus", 1)}
        try:
            self._ray.init(
                address=self._address, include_dashboard=None if self._address else False,
                log_to_driver=False, logging_level="ERROR", **local,
            )  # fmt: skip
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"engine_options.address: no Ray cluster at {self._address} ({error})"
            ) from error

    def _outcome(self, reference: Any, job: Job) -> Outcome:  # noqa: ANN401 (Ray's own type)
        try:
            outcome: Outcome = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            # run_cell keeps its own failures to itself: this is a worker that died too often.
            first = str(error).strip().split("\n")[0]
            return note_crash(job, f"{type(error).__name__}: {first}")
        return outcome
