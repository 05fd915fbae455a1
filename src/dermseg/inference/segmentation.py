"""The one result type of prediction, which files, overlays, measurements and tables are made from."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """Where the lesion is in one image, at the image's own size."""

    probability: NDArray[np.float32]
    """Probability of lesion (height, width), in [0, 1]."""
    mask: NDArray[np.bool_]
    """Lesion (height, width): where the probability reaches the threshold."""
    source: str
    """Where the image came from, a path for example; for people to read."""
    model: str
    """Name of the network."""
    threshold: float
    """Probability from which a pixel counts as lesion."""
    expected_dice: float | None = None
    """How good the mask is expected to be, 0 to 1, where the weights say how to estimate it."""
