"""Bootstrap intervals of a mean over images."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from dermseg.errors import DataError

_BATCH_VALUES = 4_000_000
"""Resampled values held in memory at a time (32 MB)."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and where it would lie had other images of the same kind been drawn."""

    mean: float
    low: float | None
    """Lower end, or None for a single value, which says nothing about its spread."""
    high: float | None
    """Upper end, or None likewise."""
    confidence: float
    method: Literal["BCa", "percentile", "constant", "single value"]
    """How the ends were found; equal values have the interval [mean, mean]."""


def mean_interval(
    values: Sequence[float], *, confidence: float = 0.95, resamples: int = 9999, seed: int = 0
) -> Interval:
    """Compute a mean with its bootstrap interval, resampling images.

    The interval is bias-corrected and accelerated (BCa: Efron, 1987), since scores lean against 1; where
    that correction is undefined, it is the plain percentile interval.

    Args:
        values: One finite score per image.
        confidence: Share of such intervals that hold the true mean.
        resamples: Bootstrap samples drawn.
        seed: The same seed and values give the same interval.

    Raises:
        DataError: There is no value, or one is not finite.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or data.size == 0 or not np.isfinite(data).all():
        raise DataError("An interval needs at least one value, and finite ones only.")
    if data.size == 1:
        return Interval(float(data[0]), None, None, confidence, "single value")
    if np.ptp(data) == 0:
        return Interval(float(data[0]), float(data[0]), float(data[0]), confidence, "constant")
    mean = float(data.mean())
    low, high = _ends(data, "BCa", confidence, resamples, seed)
    if np.isfinite([low, high]).all():
        return Interval(mean, low, high, confidence, "BCa")
    low, high = _ends(data, "percentile", confidence, resamples, seed)
    return Interval(mean, low, high, confidence, "percentile")


def _ends(
    data: NDArray[np.float64],
    method: Literal["BCa", "percentile"],
    confidence: float,
    resamples: int,
    seed: int,
) -> tuple[float, float]:
    with warnings.catch_warnings():
        # The caller looks at the ends itself and falls back; scipy's warning would only alarm.
        warnings.simplefilter("ignore")
        interval = bootstrap(
            (data,),
            np.mean,
            n_resamples=resamples,
            batch=max(1, _BATCH_VALUES // data.size),
            confidence_level=confidence,
            method=method,
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return float(interval.low), float(interval.high)
