"""Paired comparisons of systems that were scored on the same images."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata, wilcoxon

from dermseg.errors import DataError
from dermseg.evaluation.statistics.values import finite


@dataclass(frozen=True, slots=True)
class Comparison:
    """How one system compares with the best one, over the same images."""

    system: str
    difference: float
    """Mean score of this system less that of the best one."""
    p: float
    """Two-sided p-value of the paired Wilcoxon signed-rank test."""
    p_holm: float
    """The same, adjusted for the number of systems compared (Holm, 1979)."""
    effect_size: float
    """Matched-pairs rank-biserial correlation, -1 to 1: see `rank_biserial`; negative where this system's
    scores are lower."""


def paired_wilcoxon(a: ArrayLike, b: ArrayLike) -> tuple[float, float]:
    """Test whether the differences of paired scores lie symmetrically about 0 (Wilcoxon, 1945), two-sided.

    Images on which both score the same say nothing and are left out (Wilcoxon's own treatment of zeros); tied
    differences share their ranks. The p-value is exact for few images, else from the normal approximation
    with continuity correction, as in R and pingouin.

    Args:
        a: Scores of one system, per image.
        b: Scores of the other one, on the same images.

    Returns:
        The smaller sum of ranks, and the p-value. Where all scores are equal: 0 and 1.

    Raises:
        DataError: The systems have different numbers of scores, none, or scores that are not finite.
    """
    differences = _differences(a, b)
    if not differences.size:
        return 0.0, 1.0
    found = wilcoxon(differences, correction=True)
    return float(found.statistic), float(found.pvalue)


def rank_biserial(a: ArrayLike, b: ArrayLike) -> float:
    """Measure how consistently one system scores higher than another (Kerby, 2014).

    Matched-pairs rank-biserial correlation: ranks of the differences' sizes where `a` is higher, less those
    where `b` is, as a share of all. 1 if `a` is higher on every image where they differ, -1 if `b` is, 0 if
    nothing differs.

    Args:
        a: Scores of one system, per image.
        b: Scores of the other one, on the same images.

    Raises:
        DataError: As `paired_wilcoxon`.
    """
    differences = _differences(a, b)
    if not differences.size:
        return 0.0
    ranks = rankdata(np.abs(differences))
    return float((np.sign(differences) * ranks).sum() / ranks.sum())


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjust p-values for their number (Holm, 1979), which keeps the chance of any false finding at alpha.

    Args:
        p_values: Of the comparisons that belong together; may be none.

    Returns:
        Adjusted values, in the same order; not above 1.

    Raises:
        DataError: A value is not between 0 and 1.
    """
    given = np.asarray(p_values, dtype=np.float64)
    if given.ndim != 1 or not ((given >= 0) & (given <= 1)).all():
        raise DataError("p-values must be a list of numbers between 0 and 1.")
    order = np.argsort(given, kind="stable")
    # The smallest counts for all of them, the next for one less, and so on; none falls below its predecessor.
    scaled = given[order] * np.arange(given.size, 0, -1)
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def best_system(scores: Mapping[str, ArrayLike]) -> str:
    """Name the system with the highest mean score; among equals, the first one given.

    Args:
        scores: Scores of every system, per image.

    Raises:
        DataError: There is no system, or a score is not finite.
    """
    if not scores:
        raise DataError("There are no scores to compare.")
    means = {system: finite(values, f"Scores of {system}").mean() for system, values in scores.items()}
    return max(means, key=lambda system: means[system])


def compare_with_best(scores: Mapping[str, ArrayLike]) -> list[Comparison]:
    """Compare every system with the one of the best mean, image by image.

    The best one was chosen by the same scores, which favours it a little: small differences from it look
    larger than they are.

    Args:
        scores: Scores of every system, the higher the better, on the same images in the same order.

    Returns:
        One comparison for each system but the best (`best_system`), in the order given.

    Raises:
        DataError: There is no system, they have different numbers of scores, or a score is not finite.
    """
    given = {system: finite(values, f"Scores of {system}") for system, values in scores.items()}
    best = best_system(given)
    others = [system for system in given if system != best]
    p_values = [paired_wilcoxon(given[system], given[best])[1] for system in others]
    return [
        Comparison(
            system=system,
            difference=float(given[system].mean() - given[best].mean()),
            p=p,
            p_holm=float(adjusted),
            effect_size=rank_biserial(given[system], given[best]),
        )
        for system, p, adjusted in zip(others, p_values, holm(p_values), strict=True)
    ]


def _differences(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Give the differences of paired scores that are not 0."""
    ours, theirs = finite(a, "Scores"), finite(b, "Scores")
    if ours.size != theirs.size:
        raise DataError(
            f"Paired scores are those of the same images, but there are {ours.size:,} and {theirs.size:,}."
        )
    differences: NDArray[np.float64] = (ours - theirs)[ours != theirs]
    return differences
