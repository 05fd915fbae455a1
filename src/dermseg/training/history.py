"""The curve of a run: one row of numbers per epoch."""

from dataclasses import asdict, dataclass, field, fields
from itertools import chain
from typing import Any, Literal, TypeAlias

Keep: TypeAlias = Literal["best", "last"]
"""Which epoch's weights a run keeps."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch measured. Dice and IoU are per-image means at training size."""

    epoch: int
    """Counted from 1."""

    learning_rate: float
    train_loss: float
    val_loss: float
    val_dice: float
    val_iou: float


@dataclass
class History:
    """The epochs of a run so far.

    It lives in every checkpoint and the files are written from it, so a resumed run continues them
    without a lost or doubled epoch. Times are kept out of `epochs`: the same run gives the same rows.
    """

    epochs: list[Epoch] = field(default_factory=list)
    seconds: float = 0.0
    """Time spent in training and validation, over all sittings."""

    @property
    def best(self) -> Epoch:
        """The epoch with the highest validation Dice; of equals, the one with the lowest loss."""
        return max(self.epochs, key=lambda row: (row.val_dice, -row.val_loss))

    def kept(self, keep: Keep) -> Epoch:
        """The epoch whose weights the run keeps."""
        return self.best if keep == "best" else self.epochs[-1]

    @property
    def epochs_since_best(self) -> int:
        """Epochs without a better one."""
        return len(self.epochs) - self.best.epoch

    def is_complete(self, epochs: int, patience: int | None) -> bool:
        """Whether all epochs are done, or none of the last `patience` was a new best."""
        if len(self.epochs) >= epochs:
            return True
        return patience is not None and bool(self.epochs) and self.epochs_since_best >= patience

    def csv(self) -> str:
        """Return the rows as CSV, every number with all its digits."""
        lines = [",".join(column.name for column in fields(Epoch))]
        lines += [",".join(repr(value) for value in asdict(row).values()) for row in self.epochs]
        return "\n".join(lines) + "\n"

    def state(self) -> dict[str, Any]:
        """Return plain containers for a checkpoint."""
        return {"epochs": [asdict(row) for row in self.epochs], "seconds": self.seconds}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "History":
        """Restore what `state` returned.

        Raises:
            KeyError: It lacks a part.
            TypeError: It holds something else, or what is no number.
        """
        epochs, seconds = [Epoch(**row) for row in state["epochs"]], state["seconds"]
        for value in (seconds, *chain.from_iterable(asdict(row).values() for row in epochs)):
            if not isinstance(value, int | float):
                raise TypeError(f"{value!r} is no number of a curve")
        return cls(epochs, seconds)
