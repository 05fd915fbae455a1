"""Checkpoints that are complete or absent, hold no code, and are found again when a run is resumed."""

from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from torch import nn
from typing_extensions import override

from dermseg.errors import CheckpointError
from dermseg.files import replacing
from dermseg.training.history import History

HISTORY = "dermseg_history"
"""Key of the curve in a checkpoint."""

REMEDY = "restore it, or delete it: the run then goes on from the other checkpoint, or else begins afresh"
"""What to do about a checkpoint that cannot be continued from."""


class Newest(NamedTuple):
    """The checkpoint to continue from."""

    path: Path
    history: History
    """The curve up to it."""
    notice: str
    """That last.ckpt is damaged, and what follows; empty if it is not."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the destination and renames; reads tensors and plain containers only."""

    @override
    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: object = None
    ) -> None:
        """Write a checkpoint; a kill at any moment leaves the earlier file whole."""
        try:
            with replacing(Path(path)) as temporary:
                torch.save(checkpoint, temporary)
        except (OSError, RuntimeError) as error:
            # torch turns a full disk into a RuntimeError.
            raise CheckpointError(
                f"{path} cannot be written ({error}); free space, then continue with --resume"
            ) from error

    @override
    def load_checkpoint(
        self, path: str | Path, map_location: object = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read a checkpoint without executing anything in it."""
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the content of a training checkpoint, with tensors on the CPU.

    Raises:
        CheckpointError: The file is missing, damaged, or not one of ours.
    """
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        History.from_state(checkpoint[HISTORY])
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist") from error
    except Exception as error:
        # The reader trips over damaged bytes with any exception there is (pickle, zip, index, ...).
        first_line = str(error).strip().split("\n")[0]
        reason = shorten(first_line, 120, placeholder=" ...") or type(error).__name__
        raise CheckpointError(f"{path} is damaged or is no training checkpoint ({reason})") from error
    return checkpoint


def load_weights(path: Path, task: nn.Module) -> dict[str, Any]:
    """Put the weights of a training checkpoint into the task of its run, and return all its content.

    Raises:
        CheckpointError: The file is missing, damaged or of another network.
    """
    checkpoint = read_checkpoint(path)
    # Where weights are averaged, those that training goes on with lie beside the average.
    beside = [checkpoint["current_model_state"]] if "current_model_state" in checkpoint else []
    try:
        for weights in (*beside, checkpoint["state_dict"]):
            task.load_state_dict(weights)
    except (LookupError, AttributeError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{path} does not hold the weights of this run's network") from error
    return checkpoint


def has_checkpoint(folder: Path) -> bool:
    """Whether a run's checkpoints folder has one to continue from, readable or not."""
    return bool(_checkpoints(folder))


def newest_checkpoint(folder: Path) -> Newest | None:
    """Find the checkpoint to continue from; None where no epoch was finished.

    That is last.ckpt, except where the run was killed after best.ckpt and before last.ckpt was written.
    The best epoch takes the place of a damaged last.ckpt.

    Args:
        folder: The run's checkpoints folder.

    Raises:
        CheckpointError: There are checkpoints, but none can be read.
    """
    readable, damage = [], []
    for path in _checkpoints(folder):
        try:
            readable.append((path, History.from_state(read_checkpoint(path)[HISTORY])))
        except CheckpointError as error:
            damage.append(str(error))
    if damage and not readable:
        raise CheckpointError(f"{'; '.join(damage)}. Delete the checkpoints to start this run afresh")
    if not readable:
        return None
    path, history = max(readable, key=lambda found: len(found[1].epochs))
    # A damaged best.ckpt beside a sound last.ckpt is named by `secure_best`, where it is needed.
    replaced = bool(damage) and path.name == "best.ckpt"
    notice = (
        f"{damage[0]}; continuing after epoch {len(history.epochs)}, from {path.name}" if replaced else ""
    )
    return Newest(path, history, notice)


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in (folder / "last.ckpt", folder / "best.ckpt") if path.exists()]
