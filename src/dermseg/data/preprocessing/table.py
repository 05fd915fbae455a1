"""The preprocessing steps by name."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dermseg.data.preprocessing.colour_constancy import shades_of_grey
from dermseg.data.preprocessing.hair_removal import remove_hair
from dermseg.errors import ConfigError

Step = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]

PREPROCESSING: dict[str, Step] = {"shades_of_grey": shades_of_grey, "hair_removal": remove_hair}
"""Functions from an RGB image (H, W, 3), uint8, to one of the same shape."""


def check_steps(steps: Sequence[str]) -> list[str]:
    """Return the names of preprocessing steps as they were given.

    Raises:
        ConfigError: One of them is unknown.
    """
    for step in steps:
        # A weight file may name anything, also what no dictionary can be asked for.
        if not isinstance(step, str) or step not in PREPROCESSING:
            raise ConfigError(f"preprocessing: no step {step!r}; choose from {', '.join(PREPROCESSING)}")
    return [*steps]


def preprocess(image: NDArray[np.uint8], steps: Sequence[str]) -> NDArray[np.uint8]:
    """Take an image through preprocessing steps, in their order.

    Args:
        image: RGB (H, W, 3), uint8, at the size at which the network sees it: hair is looked for at that
            scale, and the step is quick there.
        steps: Names in `PREPROCESSING`.

    Returns:
        RGB (H, W, 3), uint8; the image itself where there are no steps.

    Raises:
        ConfigError: There is no such step.
    """
    for step in check_steps(steps):
        image = PREPROCESSING[step](image)
    return image
