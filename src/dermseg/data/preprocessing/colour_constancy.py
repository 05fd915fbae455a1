"""Colour constancy: an image as it would look under white light."""

import numpy as np
from numpy.typing import NDArray


def shades_of_grey(image: NDArray[np.uint8], norm: float = 6.0) -> NDArray[np.uint8]:
    """Remove the colour of the light by the shades-of-grey assumption.

    The light's colour is taken as the Minkowski mean (mean of c^p)^(1/p) of each channel: p = 1 is the grey
    world, large p the brightest value; p = 6 did best in Finlayson and Trezzi, "Shades of gray and colour
    constancy", 2004. Each channel is divided by it and the three are scaled together, so that the light's
    strength stays as it is. Applied to the values as stored, without undoing their gamma.

    Args:
        image: RGB (H, W, 3), uint8.
        norm: p, at least 1.

    Returns:
        RGB (H, W, 3), uint8; values beyond 255 are cut off. A channel of zeros stays one.
    """
    levels = np.arange(256)
    counts = np.stack([np.bincount(image[..., channel].ravel(), minlength=256) for channel in range(3)])
    # In shares of the full range: the power of a level would overflow for a large norm.
    light = np.mean((levels / 255) ** norm * counts, axis=1) ** (1 / norm)
    if not light.any():
        return image.copy()
    strength = np.sqrt(np.mean(light**2))
    gain = strength / np.where(light > 0, light, strength)
    table = np.clip(np.rint(levels * gain[:, None]), 0, 255).astype(np.uint8)
    return np.stack([table[channel][image[..., channel]] for channel in range(3)], axis=2)
