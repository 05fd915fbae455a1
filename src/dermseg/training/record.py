"""After every epoch: the curve on disk, the checkpoints, and whether to stop."""

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from torch.utils.tensorboard import SummaryWriter
from typing_extensions import override

from dermseg.errors import ConfigError
from dermseg.files import write_text
from dermseg.training.arguments import TrainArguments
from dermseg.training.checkpoints import HISTORY
from dermseg.training.history import Epoch, History


class EpochRecord(pl.Callback):
    """Writes metrics.csv, TensorBoard events and the checkpoints of a run, and ends it in time.

    The best epoch is the one with the highest per-image Dice on the validation images.

    Args:
        folder: The run folder.
        arguments: Of the run.
        history: The epochs already done, when a run is resumed.
    """

    def __init__(self, folder: Path, arguments: TrainArguments, history: History) -> None:
        self.folder = folder
        self.arguments = arguments
        self.history = history
        self.out_of_time = False
        self.started = False
        """Whether everything is restored and training has begun."""
        self._seconds_before = history.seconds
        self._start = time.monotonic()

    @override
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock and the events, in which epochs that a kill threw away are hidden."""
        self.started = True
        self._start = time.monotonic()
        if trainer.is_global_zero:
            self._events = SummaryWriter(
                str(self.folder / "tensorboard"), purge_step=len(self.history.epochs) + 1
            )

    @override
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch to the curve, and write events, best.ckpt, last.ckpt and metrics.csv, in this order.

        An epoch counts once last.ckpt is there: what comes before it may be written twice, what comes after
        it is written again when a run is resumed, so a kill between any two loses nothing.
        """
        # Of several processes, all go by what the first has measured, and it alone writes.
        row = trainer.strategy.broadcast(self._row(trainer))
        self.history.epochs.append(row)
        self.history.seconds = self._seconds_before + time.monotonic() - self._start
        if trainer.is_global_zero:
            for name, value in asdict(row).items():
                self._events.add_scalar(name, value, row.epoch)
            self._events.flush()
        checkpoints = self.folder / "checkpoints"
        if self.history.best is row:
            trainer.save_checkpoint(checkpoints / "best.ckpt")
        trainer.save_checkpoint(checkpoints / "last.ckpt")
        if trainer.is_global_zero:
            write_text(self.folder / "metrics.csv", self.history.csv())
        complete = self.history.is_complete(self.arguments.epochs, self.arguments.patience)
        self.out_of_time = not complete and trainer.strategy.broadcast(self._next_epoch_exceeds_budget())
        trainer.should_stop = complete or self.out_of_time

    @override
    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the curve into the checkpoint."""
        checkpoint[HISTORY] = self.history.state()

    @override
    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Close the events file."""
        if hasattr(self, "_events"):
            self._events.close()

    def _row(self, trainer: pl.Trainer) -> Epoch:
        measured = {name: float(value) for name, value in trainer.callback_metrics.items()}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        row = Epoch(trainer.current_epoch + 1, rate, **measured)
        if not (math.isfinite(row.train_loss) and math.isfinite(row.val_loss)):
            raise ConfigError(
                f"the loss became {row.train_loss} in epoch {row.epoch} (validation: {row.val_loss}). "
                "Nothing of this epoch was kept. Start a new run with a lower learning_rate, or with "
                "gradient_clip 1"
            )
        return row

    def _next_epoch_exceeds_budget(self) -> bool:
        if self.arguments.time_budget is None:
            return False
        done = len(self.history.epochs)
        per_epoch = self.history.seconds / done
        return time.monotonic() - self._start + per_epoch > 60 * self.arguments.time_budget
