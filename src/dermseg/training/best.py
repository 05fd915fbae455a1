"""The checkpoint of the best epoch is checked before a run goes on, since the run keeps those weights."""

from pathlib import Path

from torch import nn

from dermseg.errors import CheckpointError
from dermseg.files import copy
from dermseg.training.checkpoints import HISTORY, load_weights
from dermseg.training.history import History


def secure_best(newest: Path, history: History, task: nn.Module) -> str:
    """Check best.ckpt, and make it anew where the newest checkpoint is of the same epoch.

    Args:
        newest: Checkpoint from which the run goes on.
        history: The curve up to it.
        task: Of the run; the weights of the best epoch are tried in it.

    Returns:
        What was wrong and is mended; empty if nothing was.

    Raises:
        CheckpointError: The weights of the best epoch are lost.
    """
    best, epoch = newest.parent / "best.ckpt", history.best.epoch
    try:
        found = History.from_state(load_weights(best, task)[HISTORY]).epochs
        if found == history.epochs[:epoch]:
            return ""
        trouble = f"{best} is of {'another run' if len(found) == epoch else f'epoch {len(found)}'}"
    except CheckpointError as error:
        trouble = str(error)
    if epoch == len(history.epochs):
        copy(newest, best)
        return f"{trouble}; {newest.name}, which is of the best epoch too, takes its place"
    raise CheckpointError(
        f"{trouble}, and no other file has the weights of epoch {epoch}, the best of {len(history.epochs)}; "
        f"restore it, or delete {newest.parent} to train this run again from its first epoch"
    )
