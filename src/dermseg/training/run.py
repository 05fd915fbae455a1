"""Train a network: one call from arguments to a run folder."""

import json
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from dermseg.errors import ConfigError
from dermseg.models.base import SegmentationModel
from dermseg.models.registry import create_model
from dermseg.training.arguments import TrainArguments
from dermseg.training.fit import accelerator, fit
from dermseg.training.folder import RunFolder, open_run
from dermseg.training.history import History
from dermseg.training.module import SegmentationTask
from dermseg.training.results import write_results
from dermseg.training.sources import TrainingImages, data_path, load_images


@dataclass(frozen=True)
class TrainResult:
    """Where a run is and what it reached."""

    folder: Path
    history: History
    complete: bool
    """False when the time budget ended the run; `resume` continues it."""

    @property
    def weights(self) -> Path:
        """Weights of the best epoch, for `dermseg predict` and `dermseg evaluate`."""
        return self.folder / "model.safetensors"


def train(arguments: TrainArguments, console: Console | None = None) -> TrainResult:
    """Train a network, or continue its training, and leave everything in the run folder.

    The folder holds config.yaml, split.json, metrics.csv, tensorboard/, checkpoints/, and at the end
    model.safetensors (best epoch), curves.png, samples.png and summary.json. The best epoch is chosen on the
    validation images; the test images of the split take no part.

    Killed at any moment, a run continues from its last finished epoch with the curve of an unbroken run.

    Args:
        arguments: Of the run.
        console: Where to report; standard output by default.

    Raises:
        ConfigError: An argument is wrong, or the folder belongs to another run.
        DataError: The data cannot be used.
        CheckpointError: The checkpoints to resume from are damaged.
        KeyboardInterrupt: The user stopped the run; it can be resumed.
    """
    console = console or Console()
    # Before the folder is made: a mistaken argument should leave nothing behind.
    accelerator(arguments.device)
    network = _network(arguments)
    run = open_run(arguments)
    try:
        return _train(arguments, network, run, console)
    except KeyboardInterrupt:
        console.print(
            f"\nStopped after {len(run.history.epochs)} finished epochs. "
            f"Continue with: dermseg train --resume {run.path}",
            highlight=False,
            soft_wrap=True,
        )
        raise


def _train(
    arguments: TrainArguments, network: SegmentationModel, run: RunFolder, console: Console
) -> TrainResult:
    complete = run.history.is_complete(arguments.epochs, arguments.patience)
    if complete and _results_are_written(run):
        console.print(f"The run in {run.path} is finished; there is nothing to resume.", highlight=False)
        return TrainResult(run.path, run.history, True)
    images = load_images(arguments, run.path / "split.json", console)
    task = SegmentationTask(network, arguments)
    _print_beginning(arguments, network, images, run, console)
    history = run.history
    if not complete:
        record = fit(arguments, task, images, run, console)
        complete, history = not record.out_of_time, record.history
    summary = write_results(run.path, arguments, task, images, history)
    _print_end(arguments, run.path, summary, complete, console)
    return TrainResult(run.path, history, complete)


def _network(arguments: TrainArguments) -> SegmentationModel:
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    try:
        network = create_model(arguments.model, **arguments.model_arguments)
    except TypeError as error:
        raise ConfigError(f"model_arguments do not fit {arguments.model}: {error}") from error
    network.preprocessing = replace(network.preprocessing, size=arguments.size)
    return network


def _results_are_written(run: RunFolder) -> bool:
    """Whether summary.json, which is written last, is that of the last epoch."""
    try:
        summary = json.loads((run.path / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(summary.get("epochs") == len(run.history.epochs))


def _print_beginning(
    arguments: TrainArguments,
    network: SegmentationModel,
    images: TrainingImages,
    run: RunFolder,
    console: Console,
) -> None:
    parameters = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    hardware = torch.cuda.get_device_name() if accelerator(arguments.device) == "cuda" else "CPU"
    lines = [
        f"{network.name} ({parameters:.2f} M parameters) on {hardware}, {torch.get_num_threads()} threads",
        f"{images.collection.name}: {len(images.train)} images to train on, {len(images.validation)} to "
        f"choose the best epoch, {len(images.split.test)} untouched; {arguments.size} px",
        f"run folder: {run.path}",
    ]
    if run.checkpoint is not None:
        lines.append(f"continuing after epoch {len(run.history.epochs)}")
    console.print("\n".join(lines), highlight=False, soft_wrap=True)


def _print_end(
    arguments: TrainArguments, folder: Path, summary: dict[str, Any], complete: bool, console: Console
) -> None:
    best = summary["best"]
    lines = [
        f"best epoch {best['epoch']} of {summary['epochs']}: validation Dice {best['val_dice']:.4f}, "
        f"IoU {best['val_iou']:.4f} (per-image means at training size)",
        f"weights: {folder / 'model.safetensors'}",
        f"pictures: {folder / 'curves.png'}, {folder / 'samples.png'}",
    ]
    if summary["images"]["test"]:
        words = ["dermseg", "evaluate", str(data_path(arguments)), "--weights"]
        words += [str(folder / "model.safetensors"), "--split", str(folder / "split.json")]
        lines.append(f"score it on the test images: {shlex.join(words)}")
    if not complete:
        lines.append(f"The time budget ended the run. Continue with: dermseg train --resume {folder}")
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
