"""The checkpoint of the best epoch is checked before a run goes on, since the run keeps those weights."""

from pathlib import Path

from dermseg.errors import CheckpointError
from dermseg.files import copy
from dermseg.training.checkpoints import HISTORY, read_checkpoint
from dermseg.training.history import History


def secure_best(newest: Path, history: History) -> str:
    """Check best.ckpt, and make it anew where the newest checkpoint is of the same epoch.

    Args:
        newest: Checkpoint from which the run goes on.
        history: The curve up to it.

    Returns:
        What was wrong and is mended; empty if nothing was.

    Raises:
        CheckpointError: The weights of the best epoch are lost.
    """
    best, epoch = newest.parent / "best.ckpt", history.best.epoch
    try:
        found = len(read_checkpoint(best)[HISTORY]["epochs"])
        if found == epoch:
            return ""
        trouble = f"{best} is of epoch {found}"
    except CheckpointError as error:
        trouble = str(error)
    if epoch == len(history.epochs):
        copy(newest, best)
        return f"{trouble}; {newest.name}, which is of the best epoch too, takes its place"
    raise CheckpointError(
        f"{trouble}, and no other file has the weights of epoch {epoch}, the best of {len(history.epochs)}; "
        f"restore it, or delete {newest.parent} to train this run again from its first epoch"
    )
