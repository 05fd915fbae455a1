"""Rankings of systems that were scored on the same images, and how far to trust them."""

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import friedmanchisquare, rankdata, studentized_range

from dermseg.errors import DataError
from dermseg.evaluation.statistics.values import BATCH_VALUES, RESAMPLES, cluster_codes, finite

ALPHA = 0.05
"""Chance of calling any two equal systems different."""


def friedman(scores: ArrayLike) -> tuple[float, float, NDArray[np.float64]]:
    """Test whether the systems' ranks differ more than chance would have it (Friedman, 1937).

    Args:
        scores: (images, systems), the higher the better; tied systems share their ranks, with the usual
            correction.

    Returns:
        The statistic, its p-value from the chi-square approximation (good for more than ten images or five
        systems), and each system's rank averaged over images (systems,), 1 being the best. Where all systems
        are equal on every image: 0 and 1.

    Raises:
        DataError: There are fewer than two images or three systems, or a score is not finite.
    """
    data = _table(scores)
    images, systems = data.shape
    if images < 2 or systems < 3:
        raise DataError(
            f"Friedman's test needs two images and three systems, not {images:,} and {systems}; "
            "two systems are compared by paired_wilcoxon."
        )
    ranks = rankdata(-data, axis=1).mean(axis=0)
    if (np.ptp(data, axis=1) == 0).all():
        return 0.0, 1.0, ranks
    found = friedmanchisquare(*data.T)
    return float(found.statistic), float(found.pvalue), ranks


def critical_difference(k: int, n: int) -> float:
    """Give the difference of mean ranks from which two systems differ at 5 % (Nemenyi's test; Demšar, 2006).

    Args:
        k: Number of systems.
        n: Number of images.

    Raises:
        DataError: There are fewer than two systems, or no image.
    """
    if k < 2 or n < 1:
        raise DataError(f"A critical difference needs two systems and an image, not {k} and {n}.")
    return float(studentized_range.ppf(1 - ALPHA, k, np.inf) / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * n)))


def rank_stability(
    scores: ArrayLike, clusters: Iterable[Hashable] | NDArray[Any] | None = None, *, seed: int = 0
) -> NDArray[np.float64]:
    """Count how often each system would take each place, had other images of the same kind been drawn.

    Images (or whole lesions) are drawn with replacement, and the systems ranked by their means.

    Args:
        scores: (images, systems), the higher the better.
        clusters: The lesion of each image; see `dermseg.evaluation.statistics.values.cluster_codes`.
        seed: The same seed and scores give the same shares.

    Returns:
        Shares (systems, ranks) of the resamples, the first column being the best place. Tied systems share
        their places evenly, so that every row and every column adds up to 1.

    Raises:
        DataError: There is no score, one is not finite, or the labels are more or fewer than the images.
    """
    data = _table(scores)
    codes = cluster_codes(clusters, len(data))
    systems, count = data.shape[1], int(codes.max()) + 1
    # Systems with the same scores are averaged once: a matrix product may round equal columns differently.
    distinct, column = np.unique(data, axis=1, return_inverse=True)
    column = column.reshape(-1)  # numpy 2.0 alone gives it a second axis
    rng = np.random.default_rng(seed)
    shares = np.zeros((systems, systems))
    batch = max(1, BATCH_VALUES // len(data))
    for start in range(0, RESAMPLES, batch):
        rows = min(batch, RESAMPLES - start)
        drawn = rng.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)[:, codes]
        means = (times @ distinct / times.sum(axis=1, keepdims=True))[:, column]
        shares += _places(means)
    return shares / RESAMPLES


def _places(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Count the places of systems by their means (resamples, systems), as (systems, places)."""
    better = (means[:, None, :] > means[:, :, None]).sum(axis=2)
    equal = (means[:, None, :] == means[:, :, None]).sum(axis=2)
    places = np.arange(means.shape[1])
    taken = (places >= better[..., None]) & (places < (better + equal)[..., None])
    counted: NDArray[np.float64] = (taken / equal[..., None]).sum(axis=0)
    return counted


def _table(scores: ArrayLike) -> NDArray[np.float64]:
    return finite(scores, "Scores (images, systems)", dimensions=2)
