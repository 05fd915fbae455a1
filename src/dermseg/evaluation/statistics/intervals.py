"""Bootstrap intervals of a statistic over images."""

import warnings
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap

from dermseg.errors import DataError
from dermseg.evaluation.statistics.values import BATCH_VALUES, RESAMPLES, cluster_codes, finite

CONFIDENCE = 0.95
"""Of every interval."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a statistic would lie had other images of the same kind been drawn."""

    low: float | None
    """Lower end, or None for a single value (or lesion), which says nothing about its spread."""
    high: float | None
    """Upper end, or None likewise."""
    confidence: float
    """Share of such intervals that hold the true value; of few images, fewer do."""
    method: Literal["BCa", "percentile", "constant", "single value"]
    """How the ends were found; equal values have an interval of no width."""


@dataclass(frozen=True, slots=True)
class MeanInterval(Interval):
    """A mean with its interval."""

    mean: float


def mean_interval(
    values: ArrayLike,
    clusters: Iterable[Hashable] | NDArray[Any] | None = None,
    *,
    seed: int = 0,
) -> MeanInterval:
    """Compute a mean over images with its bootstrap interval; see `bca_interval`.

    Args:
        values: One finite score per image.
        clusters: The lesion of each image; see `dermseg.evaluation.statistics.values.cluster_codes`.
        seed: The same seed and values give the same interval.

    Raises:
        DataError: As `bca_interval`.
    """
    data = finite(values, "Scores")
    ends = bca_interval(data, clusters=clusters, seed=seed)
    # The mean of equal values is one of them; added up, it would be off by a rounding.
    mean = float(data[0]) if np.ptp(data) == 0 else float(data.mean())
    return MeanInterval(ends.low, ends.high, ends.confidence, ends.method, mean)


def bca_interval(
    values: ArrayLike,
    statistic: Callable[..., Any] = np.mean,
    clusters: Iterable[Hashable] | NDArray[Any] | None = None,
    seed: int = 0,
) -> Interval:
    """Compute the 95 % bootstrap interval of a statistic of per-image scores.

    It is bias-corrected and accelerated (BCa: Efron, 1987), since scores lean against 1; where that
    correction is undefined, it is the plain percentile interval. With clusters, whole clusters are drawn and
    left out: images of one lesion resemble each other, and taken for independent they would make the
    interval too narrow.

    Args:
        values: One finite score per image.
        statistic: Makes one number of a one-dimensional array of scores.
        clusters: The lesion of each image; see `dermseg.evaluation.statistics.values.cluster_codes`.
        seed: The same seed and values give the same interval.

    Raises:
        DataError: There is no value, one is not finite, or the labels are more or fewer than the values.
    """
    data = finite(values, "Scores")
    codes = cluster_codes(clusters, data.size)
    count = int(codes.max()) + 1
    if count == 1:
        return Interval(None, None, CONFIDENCE, "single value")
    if np.ptp(data) == 0:
        point = float(data[0]) if statistic is np.mean else float(statistic(data))
        return Interval(point, point, CONFIDENCE, "constant")
    of_drawn = _mean_of_drawn(data, codes) if statistic is np.mean else _of_drawn(data, codes, statistic)
    methods: tuple[Literal["BCa", "percentile"], ...] = ("BCa", "percentile")
    for method in methods:
        low, high = _ends(of_drawn, count, method, seed)
        if np.isfinite([low, high]).all():
            return Interval(low, high, CONFIDENCE, method)
    raise DataError("The statistic is not finite for resampled scores, so that it has no interval.")


def _mean_of_drawn(data: NDArray[np.float64], codes: NDArray[np.intp]) -> Callable[..., Any]:
    """Give the mean of all images of drawn clusters as a function of their numbers, along an axis."""
    sums, sizes = np.bincount(codes, weights=data), np.bincount(codes)

    def mean(drawn: NDArray[np.intp], axis: int = -1) -> NDArray[np.float64]:
        total: NDArray[np.float64] = sums[drawn].sum(axis=axis) / sizes[drawn].sum(axis=axis)
        return total

    return mean


def _of_drawn(
    data: NDArray[np.float64], codes: NDArray[np.intp], statistic: Callable[..., Any]
) -> Callable[..., Any]:
    """Give a statistic of all images of drawn clusters as a function of the clusters' numbers."""
    sizes = np.bincount(codes)
    if sizes.max() == 1:
        return lambda drawn: statistic(data[drawn])
    members = np.split(data[np.argsort(codes, kind="stable")], np.cumsum(sizes)[:-1])
    return lambda drawn: statistic(np.concatenate([members[number] for number in drawn]))


def _ends(
    of_drawn: Callable[..., Any],
    count: int,
    method: Literal["BCa", "percentile"],
    seed: int,
) -> tuple[float, float]:
    with warnings.catch_warnings():
        # The caller looks at the ends itself and falls back; scipy's warning would only alarm.
        warnings.simplefilter("ignore")
        interval = bootstrap(
            (np.arange(count),),
            of_drawn,
            n_resamples=RESAMPLES,
            batch=max(1, BATCH_VALUES // count),
            confidence_level=CONFIDENCE,
            method=method,
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return float(interval.low), float(interval.high)
