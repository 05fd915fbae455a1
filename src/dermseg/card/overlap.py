"""Dice alone: all that is fitted or compared here needs, at a fraction of the time of all metrics."""

import numpy as np
from numpy.typing import NDArray


def dice(prediction: NDArray[np.bool_], target: NDArray[np.bool_]) -> float:
    """Compute the Dice of two masks of one shape; 1 where both are empty, as `metrics.score` does."""
    both = np.count_nonzero(prediction) + np.count_nonzero(target)
    return 2 * np.count_nonzero(prediction & target) / both if both else 1.0
