"""The learning rate of each epoch: a function of the arguments and of the curve so far.

No schedule keeps a state of its own, so that a resumed run goes on with the rates of the unbroken one.
Released code that lowers the rate at every step is followed epoch by epoch.
"""

import math
from collections.abc import Sequence

from dermseg.training.arguments import TrainArguments

_BETTER = 1e-4
"""Share by which a validation loss must fall to end a plateau, as in PyTorch's ReduceLROnPlateau."""


def learning_rate(arguments: TrainArguments, epoch: int, losses: Sequence[float] = ()) -> float:
    """Return the learning rate of an epoch: a linear rise over the warm-up, then the schedule.

    Args:
        arguments: Of the run.
        epoch: Counted from 0.
        losses: Validation losses of the epochs before it; only a plateau looks at them.
    """
    a = arguments
    warmup = min(a.warmup_epochs, a.epochs - 1)
    if epoch < warmup:
        return a.learning_rate * (epoch + 1) / (warmup + 1)
    share = _share(a, epoch - warmup, a.epochs - warmup, losses[warmup:])
    if a.schedule in ("step", "plateau"):
        return max(a.minimum_learning_rate, a.learning_rate * share)
    return a.minimum_learning_rate + (a.learning_rate - a.minimum_learning_rate) * share


def _share(a: TrainArguments, epoch: int, epochs: int, losses: Sequence[float]) -> float:
    """Return what is left of the learning rate, 1 at first, in an epoch after the warm-up."""
    if a.schedule == "constant":
        return 1.0
    if a.schedule == "poly":
        return float((1 - epoch / epochs) ** a.schedule_power)
    if a.schedule == "linear":
        falling = min(a.schedule_epochs or epochs, epochs)
        return min(1.0, (epochs - epoch) / falling)
    if a.schedule == "cosine":
        return (1 + math.cos(math.pi * (epoch / max(1, a.schedule_epochs or epochs - 1)))) / 2
    assert a.schedule_epochs is not None  # TrainArguments refuses step and plateau without
    drops = epoch // a.schedule_epochs if a.schedule == "step" else _plateaus(losses, a.schedule_epochs)
    return float(a.schedule_factor**drops)


def _plateaus(losses: Sequence[float], patience: int) -> int:
    """Count the times that more than `patience` epochs in a row brought no lower loss."""
    best, waited, count = math.inf, 0, 0
    for loss in losses:
        if loss < best * (1 - _BETTER):
            best, waited = loss, 0
        else:
            waited += 1
        if waited > patience:
            waited, count = 0, count + 1
    return count
