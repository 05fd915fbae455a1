"""Otsu's threshold: the first mask that FANet is shown of an image.

Otsu, "A Threshold Selection Method from Gray-Level Histograms", doi 10.1109/TSMC.1979.4310076.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS = 256
GREY = (299, 587, 114)
"""Thousandths of red, green and blue in a pixel's grey."""
BLUR = (1, 4, 6, 4, 1)
"""Weights along each axis of a Gaussian of 5 pixels, in sixteenths."""


def otsu_masks(images: Tensor) -> Tensor:
    """Mark the pixels of a blurred grey image that are brighter than its threshold.

    All is computed in whole numbers, so that no rounding makes a pixel depend on device or precision.

    Args:
        images: (B, 3, H, W), red, green, blue, values 0..255 of any type; rounded to whole numbers.

    Returns:
        bool (B, 1, H, W). In an image of one colour every pixel is marked, unless it is black.
    """
    whole = images.round().clamp(0, LEVELS - 1).long()
    red, green, blue = (weight * whole[:, i : i + 1] for i, weight in enumerate(GREY))
    grey = (red + green + blue + sum(GREY) // 2) // sum(GREY)
    blurred = _blur(grey)
    return blurred > otsu_threshold(blurred.flatten(1)).view(-1, 1, 1, 1)


def otsu_threshold(levels: Tensor) -> Tensor:
    """Find the level that parts each image into two classes with the greatest variance between them.

    Args:
        levels: Whole numbers (B, pixels), int64, 0..255.

    Returns:
        int64 (B,): the darker class is up to and including this level. The lowest of equally good levels.
    """
    ones = torch.ones_like(levels)
    counts = torch.zeros(levels.shape[0], LEVELS, dtype=torch.int64, device=levels.device)
    counts = counts.scatter_add(1, levels, ones)
    darker = counts.cumsum(1)
    sums = (counts * torch.arange(LEVELS, device=levels.device)).cumsum(1)
    pixels = levels.shape[1]
    # Variance between classes times pixels^2: (pixels * sum - count * total)^2 / (count * (pixels - count)).
    apart = (pixels * sums - darker * sums[:, -1:]).double()
    rest = (darker * (pixels - darker)).double()
    variance = torch.where(rest > 0, apart.square() / rest.clamp(min=1), 0.0)
    return variance.argmax(1)


def _blur(grey: Tensor) -> Tensor:
    """Average (B, 1, H, W), int64, over 5 x 5 pixels; the border repeats."""
    reach = len(BLUR) // 2
    height, width = grey.shape[-2:]
    # Padding by repetition is defined for floats only, which hold these numbers exactly.
    padded = F.pad(grey.float(), (reach,) * 4, mode="replicate").long()
    rows = torch.stack([weight * padded[:, :, i : i + height] for i, weight in enumerate(BLUR)]).sum(0)
    both = torch.stack([weight * rows[..., i : i + width] for i, weight in enumerate(BLUR)]).sum(0)
    return (both + sum(BLUR) ** 2 // 2) // sum(BLUR) ** 2
