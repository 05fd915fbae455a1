"""Lightning's trainer, set up for this task and kept quiet."""

import logging
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import lightning.pytorch as pl
from rich.console import Console

from dermseg.devices import resolve_device
from dermseg.errors import CheckpointError, ConfigError
from dermseg.training.arguments import TrainArguments
from dermseg.training.averaging import RunningAverage
from dermseg.training.checkpoints import REMEDY, AtomicCheckpointIO
from dermseg.training.feedback_task import Numbered
from dermseg.training.folder import RunFolder
from dermseg.training.loaders import Pairs, train_loader, validation_loader
from dermseg.training.module import SegmentationTask
from dermseg.training.parallel import ALONE, World
from dermseg.training.progress import RunProgress
from dermseg.training.record import EpochRecord
from dermseg.training.sources import TrainingImages


def fit(
    arguments: TrainArguments,
    task: SegmentationTask,
    images: TrainingImages,
    run: RunFolder,
    console: Console,
    world: World = ALONE,
) -> EpochRecord:
    """Train until the last epoch, the end of patience or the end of the time budget.

    Args:
        arguments: Of the run.
        task: The network with its loss.
        images: To train on and to choose the best epoch by.
        run: Where the run stands.
        console: For the progress.
        world: The processes that train it.

    Returns:
        The record of all epochs of the run.

    Raises:
        CheckpointError: The checkpoint to continue from lacks a part.
        KeyboardInterrupt: The user stopped the run; every finished epoch is kept.
    """
    a = arguments
    if world.size > 1:
        if len(images.train) < a.batch_size:
            raise ConfigError(
                f"{len(images.train)} training images are less than a batch; train without torchrun"
            )
        task.part = (world.rank,)
    record = EpochRecord(run.path, a, run.history)
    callbacks = [record, RunProgress(console, record.history, a.epochs)]
    pairs: Pairs = Numbered(images.train) if a.mask_feedback else images.train
    with _quiet():
        trainer = _trainer(a, callbacks, run, world)
        with _interruptible(trainer), _restoring(run, record):
            trainer.fit(
                task,
                train_loader(
                    pairs,
                    len(images.train),
                    a.batch_size,
                    a.seed,
                    a.workers,
                    len(a.scales),
                    (world.rank, world.size),
                ),
                validation_loader(images.validation, len(images.validation), a.batch_size, a.workers),
                ckpt_path=run.checkpoint,
                weights_only=True,
            )
    return record


def _trainer(
    arguments: TrainArguments, callbacks: Sequence[pl.Callback], run: RunFolder, world: World
) -> pl.Trainer:
    a = arguments
    averaging = [] if a.weight_average is None else [RunningAverage(a.weight_average)]
    return pl.Trainer(
        accelerator=resolve_device(a.device).type,
        devices=world.on_this_machine,
        num_nodes=world.machines,
        # Some networks have heads that the loss does not see.
        strategy="auto" if world.size == 1 else "ddp_find_unused_parameters_true",
        sync_batchnorm=world.size > 1 and resolve_device(a.device).type == "cuda",
        precision=a.precision,
        max_epochs=a.epochs,
        gradient_clip_val=a.gradient_clip,
        gradient_clip_algorithm=a.gradient_clip_by,
        callbacks=[*averaging, *callbacks],
        plugins=[AtomicCheckpointIO()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=run.path,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what Lightning prints about its own settings: a user of dermseg did not choose them."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _restoring(run: RunFolder, record: EpochRecord) -> Iterator[None]:
    """Blame the checkpoint for what Lightning trips over before it trains, unless that is the device's."""
    try:
        yield
    except (LookupError, AttributeError, TypeError, ValueError) as error:
        if run.checkpoint is None or record.started:
            raise
        reason = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{run.checkpoint} cannot be continued from ({reason}); {REMEDY}") from error


@contextmanager
def _interruptible(trainer: pl.Trainer) -> Iterator[None]:
    """Turn Lightning's exit on Ctrl-C, which also leaves later Ctrl-C ignored, into KeyboardInterrupt."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if not trainer.interrupted:
            raise
        raise KeyboardInterrupt from error
    finally:
        # Other threads may not set handlers, so Lightning set none there.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
