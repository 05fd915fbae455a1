"""What a user sees while a network trains: one bar for the whole run, and a line per epoch."""

import time
from datetime import timedelta

import lightning.pytorch as pl
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from typing_extensions import override

from dermseg.training.history import History


class RunProgress(pl.Callback):
    """A bar with the time left for the whole run; on a console without cursor, the lines alone.

    Args:
        console: Where to print.
        history: The curve; `EpochRecord`, which fills it, must come before this callback.
        epochs: Epochs of the whole run.
    """

    def __init__(self, console: Console, history: History, epochs: int) -> None:
        self.console = console
        self.history = history
        self.epochs = epochs
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the bar at the epoch where the run is."""
        steps = int(trainer.num_training_batches) + sum(map(int, trainer.num_val_batches))
        self._done = self._first = len(self.history.epochs) * steps
        self._total = self.epochs * steps
        self._start = time.monotonic()
        self._task: TaskID = self._bar.add_task(
            "", total=self._total, completed=self._done, epoch=0, epochs=self.epochs, left=""
        )
        self._bar.start()

    @override
    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Count a training step."""
        self._advance(trainer)

    @override
    def on_validation_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Count a validation step."""
        self._advance(trainer)

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the epoch's line."""
        row, best = self.history.epochs[-1], self.history.best
        mark = "best so far" if row is best else f"best {best.val_dice:.4f} in epoch {best.epoch}"
        validation = f"loss {row.val_loss:.4f}, Dice {row.val_dice:.4f}, IoU {row.val_iou:.4f} ({mark})"
        self.console.print(
            f"epoch {row.epoch}/{self.epochs}  loss {row.train_loss:.4f}  validation: {validation}  "
            f"{self._left()}",
            highlight=False,
            soft_wrap=True,
        )

    @override
    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Take the bar away."""
        self._bar.stop()

    def _advance(self, trainer: pl.Trainer) -> None:
        self._done += 1
        self._bar.update(self._task, completed=self._done, epoch=trainer.current_epoch + 1, left=self._left())

    def _left(self) -> str:
        spent = time.monotonic() - self._start
        seconds = spent / max(1, self._done - self._first) * (self._total - self._done)
        return f"{timedelta(seconds=round(seconds))} left"
