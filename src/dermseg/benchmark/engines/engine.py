"""What every engine is: something that runs jobs somewhere, and tells how each of them ended."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dermseg.benchmark.cell import Job, Outcome

TICK = 1.0
"""Seconds between two calls of `tick`."""


class Monitor(Protocol):
    """Whoever wants to know how the jobs come along."""

    def ended(self, outcome: "Outcome") -> None:
        """Learn how an attempt ended."""
        ...

    def tick(self) -> None:
        """Be called about every second while jobs run."""
        ...


class Engine(Protocol):
    """Runs jobs: the same code everywhere, so the same results."""

    def run(self, jobs: "Sequence[Job]", monitor: Monitor) -> None:
        """Run every job to some ending.

        A process that dies takes its own cell with it, as failed, and no other.

        Raises:
            KeyboardInterrupt: The user stopped it; started cells can go on later.
        """
        ...
