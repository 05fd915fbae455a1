"""Checks and groupings that all statistics of per-image scores share."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dermseg.errors import DataError

RESAMPLES = 9999
"""Bootstrap samples drawn."""
BATCH_VALUES = 250_000
"""Resampled values held in memory at a time: 2 MB, which caches hold; more takes three times as long."""


def finite(values: ArrayLike, what: str, dimensions: int = 1) -> NDArray[np.float64]:
    """Make an array of scores.

    Args:
        values: Numbers.
        what: Names them in an error.
        dimensions: How many axes they must have.

    Raises:
        DataError: They are no numbers, none at all, not all finite, or have other axes.
    """
    try:
        data = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{what} must be numbers, one per image.") from None
    if data.ndim != dimensions or data.size == 0 or not np.isfinite(data).all():
        raise DataError(
            f"{what} must be finite numbers with {dimensions} axis or axes, not {data.shape} with "
            f"{np.count_nonzero(~np.isfinite(data)):,} that are not finite."
        )
    return data


def cluster_codes(clusters: Iterable[Hashable] | NDArray[Any] | None, size: int) -> NDArray[np.intp]:
    """Number the clusters of images, from 0 in the order of appearance.

    Args:
        clusters: A label per image, of the lesion for example. None, NaN and "" say that it is not known:
            such an image is a cluster of its own. Without labels every image is.
        size: Number of images.

    Returns:
        The cluster of each image (size,).

    Raises:
        DataError: There are more or fewer labels than images.
    """
    if clusters is None:
        return np.arange(size)
    labels: Sequence[Any] = list(clusters)
    if len(labels) != size:
        raise DataError(f"{len(labels):,} cluster labels for {size:,} images; give one each.")
    # A label sits in a tuple, so that none is taken for the number of an image without one.
    keys = [
        number if label is None or label == "" or label != label else (label,)
        for number, label in enumerate(labels)
    ]
    codes = {key: code for code, key in enumerate(dict.fromkeys(keys))}
    return np.array([codes[key] for key in keys], dtype=np.intp)
