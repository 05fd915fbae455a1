"""Train a network: one call from arguments to a run folder."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from dermseg.console import say
from dermseg.devices import resolve_device
from dermseg.errors import CheckpointError, ConfigError
from dermseg.models.base import SegmentationModel
from dermseg.training.arguments import TrainArguments
from dermseg.training.best import secure_best
from dermseg.training.checkpoints import REMEDY, load_weights, newest_checkpoint
from dermseg.training.feedback_task import FeedbackTask
from dermseg.training.fit import fit
from dermseg.training.folder import RunFolder, begin_run, has_begun, open_run
from dermseg.training.history import History
from dermseg.training.module import SegmentationTask
from dermseg.training.origin import write_origin
from dermseg.training.parallel import World, joined
from dermseg.training.pixels import note_pixels
from dermseg.training.results import results_are_written, write_results
from dermseg.training.sources import TrainingImages, data_path, load_images
from dermseg.training.start import create_network

_LARGE = 10.0
"""Million parameters from which a user is warned of training on a CPU."""


@dataclass(frozen=True)
class TrainResult:
    """Where a run is and what it reached."""

    folder: Path
    history: History
    complete: bool
    """False when the time budget ended the run; `resume` continues it."""

    @property
    def weights(self) -> Path:
        """Weights of the epoch that is kept, for `dermseg predict` and `dermseg evaluate`."""
        return self.folder / "model.safetensors"


def train(arguments: TrainArguments, console: Console | None = None) -> TrainResult:
    """Train a network, or continue its training, and leave everything in the run folder.

    The folder holds config.yaml, split.json, origin.json (where it starts from weights), metrics.csv,
    tensorboard/, checkpoints/, and at the end model.safetensors (of the best or the last epoch), curves.png,
    samples.png and summary.json. The best epoch is chosen on the validation images; the test images of the
    split take no part.

    Killed at any moment, a run continues from its last finished epoch with the curve of an unbroken run.
    Stopped by the user, or by a loss that is not a number, it leaves the results of its finished epochs.

    Args:
        arguments: Of the run.
        console: Where to report; standard output by default.

    Raises:
        ConfigError: An argument is wrong, or the folder belongs to another run.
        DataError: The data cannot be used.
        CheckpointError: The checkpoints to resume from are damaged, or of another run.
        KeyboardInterrupt: The user stopped the run; it can be resumed.
    """
    console = console or Console()
    # Before the folder is made: a mistaken argument should leave nothing behind.
    resolve_device(arguments.device)
    task = _task(arguments)
    with joined(arguments) as world:
        if world.rank:
            return _train_beside(arguments, task, world)
        return _train_in_folder(arguments, task, world, console)


def _train_in_folder(
    arguments: TrainArguments, task: SegmentationTask, world: World, console: Console
) -> TrainResult:
    with open_run(arguments) as run:
        try:
            return _train(arguments, task, run, world, console)
        except KeyboardInterrupt:
            resume = shlex.join(["dermseg", "train", "--resume", str(run.path)])
            say(
                console, f"\nStopped after {len(run.history.epochs)} finished epochs. Continue with: {resume}"
            )
            raise


def _train_beside(arguments: TrainArguments, task: SegmentationTask, world: World) -> TrainResult:
    """Train along with the first process, which keeps the run folder."""
    run, quiet = world.receive(), Console(quiet=True)
    if not run.history.is_complete(arguments.epochs, arguments.patience):
        images = load_images(arguments, run.path / "split.json", quiet)
        task.begin(run.history, images.train)
        record = fit(arguments, task, images, run, quiet, world)
        return TrainResult(run.path, record.history, not record.out_of_time)
    return TrainResult(run.path, run.history, True)


def _train(
    arguments: TrainArguments, task: SegmentationTask, run: RunFolder, world: World, console: Console
) -> TrainResult:
    complete = run.history.is_complete(arguments.epochs, arguments.patience)
    if complete:
        world.send(run)
    if complete and results_are_written(run.path, run.history):
        say(console, f"The run in {run.path} is finished; there is nothing to resume.")
        return TrainResult(run.path, run.history, True)
    _check_checkpoints(arguments, task, run, console)
    images = load_images(arguments, run.path / "split.json", console)
    if arguments.weights is not None and not has_begun(run):
        # Before the configuration, with which the run has begun.
        write_origin(run.path, task.network, images.earlier)
    begin_run(run, arguments, images.split)
    note_pixels(run.path, images.checksum)
    task.begin(run.history, images.train)
    _print_beginning(arguments, task.network, images, run, console)
    history = run.history
    if not complete:
        # Now, when the images are prepared and their split is written.
        world.send(run)
        try:
            record = fit(arguments, task, images, run, console, world)
        except (KeyboardInterrupt, ConfigError):
            if finished := newest_checkpoint(run.path / "checkpoints"):
                write_results(run.path, arguments, task, images, finished.history)
                say(
                    console, f"weights of the {arguments.keep} epoch so far: {run.path / 'model.safetensors'}"
                )
            raise
        complete, history = not record.out_of_time, record.history
    summary = write_results(run.path, arguments, task, images, history)
    _print_end(arguments, run.path, summary, complete, console)
    return TrainResult(run.path, history, complete)


def _check_checkpoints(
    arguments: TrainArguments, task: SegmentationTask, run: RunFolder, console: Console
) -> None:
    """Say what of them is damaged, and end now where weights are another network's, or those to keep lost."""
    notices = [run.notice]
    if run.checkpoint is not None:
        try:
            load_weights(run.checkpoint, task)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; {REMEDY}") from error
        if arguments.keep == "best":
            notices.append(secure_best(run.checkpoint, run.history, task))
    for notice in filter(None, notices):
        say(console, f"warning: {notice}")


def _task(arguments: TrainArguments) -> SegmentationTask:
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    network = create_network(arguments)
    network.preprocessing = replace(
        network.preprocessing,
        size=arguments.size,
        geometry=arguments.geometry,
        steps=tuple(arguments.preprocessing),
    )
    return (FeedbackTask if arguments.mask_feedback else SegmentationTask)(network, arguments)


def _print_beginning(
    arguments: TrainArguments,
    network: SegmentationModel,
    images: TrainingImages,
    run: RunFolder,
    console: Console,
) -> None:
    parameters = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    device = resolve_device(arguments.device).type
    hardware = torch.cuda.get_device_name() if device == "cuda" else device.upper()
    lines = [
        f"{network.name} ({parameters:.2f} M parameters) on {hardware}, {torch.get_num_threads()} threads",
        f"{images.collection.name}: {len(images.train)} images to train on, {len(images.validation)} to "
        f"validate on, {len(images.split.test)} untouched; {arguments.size} px",
        f"run folder: {run.path}",
    ]
    if run.checkpoint is not None:
        lines.append(f"continuing after epoch {len(run.history.epochs)}")
    if device == "cpu" and parameters > _LARGE:
        lines.append("a network of this size takes days on a CPU; --preset fast is made for one")
    say(console, "\n".join(lines))


def _print_end(
    arguments: TrainArguments, folder: Path, summary: dict[str, Any], complete: bool, console: Console
) -> None:
    kept = summary["kept"]
    lines = [
        f"{arguments.keep} epoch {kept['epoch']} of {summary['epochs']}: validation Dice "
        f"{kept['val_dice']:.4f}, IoU {kept['val_iou']:.4f} (per-image means at training size)",
        f"weights: {folder / 'model.safetensors'}",
        f"pictures: {folder / 'curves.png'}, {folder / 'samples.png'}",
    ]
    if summary["images"]["test"]:
        words = ["dermseg", "evaluate", str(data_path(arguments)), "--weights"]
        words += [str(folder / "model.safetensors"), "--split", str(folder / "split.json")]
        if arguments.masks is not None:
            words += ["--masks", str(arguments.masks)]
        lines.append(f"score it on the test images: {shlex.join(words)}")
    if not complete:
        lines.append(f"The time budget ended the run. Continue with: dermseg train --resume {folder}")
    say(console, "\n".join(lines))
