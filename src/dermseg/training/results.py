"""What a run leaves when it ends: the weights it keeps, its pictures and its summary."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dermseg.data.dataset import CachedPairs
from dermseg.data.splits import SIDES
from dermseg.figures import PREDICTION_COLOUR, TARGET_COLOUR, Tile, contact_sheet, outlined_thumbnail
from dermseg.files import read_json, write_json
from dermseg.models.base import SegmentationModel
from dermseg.models.weights import save_model
from dermseg.paths import printable
from dermseg.training.arguments import RUNTIME, TrainArguments
from dermseg.training.checkpoints import newest_checkpoint, read_checkpoint
from dermseg.training.curves import draw_curves
from dermseg.training.environment import environment
from dermseg.training.history import History
from dermseg.training.module import SegmentationTask, per_image_overlap
from dermseg.training.sources import TrainingImages

SAMPLES = 8
"""Validation images on the sheet of samples."""


def write_results(
    folder: Path, arguments: TrainArguments, task: SegmentationTask, images: TrainingImages, history: History
) -> dict[str, Any]:
    """Write model.safetensors of the epoch that is kept, curves.png, samples.png and, last, summary.json.

    Args:
        folder: The run folder, with its checkpoints.
        arguments: Of the run.
        task: Holds the network; gets the weights of that epoch.
        images: Of the run.
        history: All its epochs.

    Returns:
        The summary.
    """
    checkpoints = folder / "checkpoints"
    # A run may have been killed between best.ckpt, of its last epoch, and last.ckpt.
    newest = newest_checkpoint(checkpoints) if arguments.keep == "last" else None
    kept = read_checkpoint(newest.path if newest else checkpoints / "best.ckpt")
    task.load_state_dict(kept["state_dict"])
    task.eval()
    summary = _summary(arguments, task.network, images, history)
    sides = {side: list(getattr(images.split, side)) for side in SIDES}
    notes = {**summary, "split": {**summary["split"], **sides}, "fingerprints": images.fingerprints}
    if images.earlier:
        notes["earlier"] = images.earlier
    save_model(task.network, folder / "model.safetensors", notes=notes)
    draw_curves(folder / "curves.png", history, arguments.keep)
    _draw_samples(folder / "samples.png", task, images.validation)
    write_json(folder / "summary.json", summary)
    return summary


def results_are_written(folder: Path, history: History) -> bool:
    """Whether summary.json, which is written last, is that of the last epoch, and the others are there too.

    Args:
        folder: The run folder.
        history: All its epochs.
    """
    names = ("model.safetensors", "curves.png", "samples.png")
    summary = read_json(folder / "summary.json") or {}
    return summary.get("epochs") == len(history.epochs) and all((folder / name).is_file() for name in names)


def _summary(
    arguments: TrainArguments, network: SegmentationModel, images: TrainingImages, history: History
) -> dict[str, Any]:
    # Weights are passed on with this summary: no path of this machine goes into it.
    given = {key: value for key, value in asdict(arguments).items() if key not in RUNTIME}
    given["data"] = images.collection.name
    given |= {name: given[name] and Path(given[name]).name for name in ("weights", "split")}
    return {
        "model": network.name,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "data": images.collection.name,
        "images": {
            "train": len(images.train),
            "validation": len(images.validation),
            "test": len(images.split.test),
        },
        "split": {
            "name": images.split.name,
            "checksum": images.split.checksum,
            **images.split.reservations,
        },
        "epochs": len(history.epochs),
        "complete": history.is_complete(arguments.epochs, arguments.patience),
        "best": asdict(history.best),
        "kept": asdict(history.kept(arguments.keep)),
        "metrics": "per-image means on the validation images, at training size",
        "seconds": round(history.seconds, 1),
        "environment": environment(),
        "arguments": given,
    }


def _draw_samples(path: Path, task: SegmentationTask, pairs: CachedPairs) -> None:
    """Draw validation images spread evenly over the list, so that the sheet is the same for every model."""
    rows = np.unique(np.linspace(0, len(pairs) - 1, SAMPLES).round().astype(int)).tolist()
    images, masks = pairs[rows]
    with torch.inference_mode():
        logits = task(images.to(task.device)).cpu()
    dice, _ = per_image_overlap(logits, masks)
    tiles = [
        Tile(
            outlined_thumbnail(
                image.permute(1, 2, 0).numpy(),
                [(mask[0].bool().numpy(), TARGET_COLOUR), ((logit[0] > 0).numpy(), PREDICTION_COLOUR)],
            ),
            f"{printable(pairs.identifiers[row])}: Dice {score:.3f}",
        )
        for row, image, mask, logit, score in zip(rows, images, masks, logits, dice.tolist(), strict=True)
    ]
    contact_sheet(
        tiles,
        path,
        title="Validation images at training size",
        legend=[("prediction", PREDICTION_COLOUR), ("mask", TARGET_COLOUR)],
    )
