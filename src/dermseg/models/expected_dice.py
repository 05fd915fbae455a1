"""How good an outline is expected to be, from its probability map alone."""

from dataclasses import dataclass
from math import isfinite
from numbers import Real

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ExpectedDice:
    """Estimates the Dice of an outline before anybody has drawn the true one.

    If every pixel were lesion with its own probability, independently, the Dice of a mask would be close to
    `soft_dice`. Errors of a network are not independent, so a straight line, fitted on images that it did not
    learn from, maps that value to the Dice which such images had.

    Raises:
        ValueError: A coefficient is not a finite number.
    """

    intercept: float
    slope: float

    def __post_init__(self) -> None:
        for name, value in (("intercept", self.intercept), ("slope", self.slope)):
            # A file may hold anything; of lists, each image would be the first to notice.
            if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value):
                raise ValueError(f"the {name} of the expected Dice must be one finite number, got {value!r}")

    def __call__(self, probability: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
        """Estimate the Dice, 0 to 1, of a mask (height, width) cut from a probability map of that shape."""
        return float(np.clip(self.intercept + self.slope * soft_dice(probability, mask), 0, 1))


def soft_dice(probability: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Compare a mask with the probabilities it was cut from: twice their sum inside, over both areas.

    Args:
        probability: Probability of lesion (height, width).
        mask: Where the outline is, same shape.

    Returns:
        0 for a mask without pixels, which is what a missed lesion scores; 1 where all probabilities are sure.
    """
    area = int(np.count_nonzero(mask))
    if area == 0:
        return 0.0
    inside = float(probability[mask].sum(dtype=np.float64))
    return 2 * inside / (area + float(probability.sum(dtype=np.float64)))
