"""What a Slurm job runs; submitit must be there to define it."""

from submitit.helpers import Checkpointable

from dermseg.benchmark.cell import Job, Outcome, run_cell


class CellTask(Checkpointable):  # type: ignore[misc]  # untyped
    """Runs a cell; submitit queues it again, with the same job, after a preemption or at its time limit."""

    def __call__(self, job: Job) -> Outcome:
        """Run the cell, or go on with it."""
        return run_cell(job)
