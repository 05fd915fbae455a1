"""Intervals, tests and rankings of per-image scores: `docs/metrics.md` says when to use which."""

from dermseg.evaluation.statistics.comparisons import (
    Comparison,
    best_system,
    compare_with_best,
    holm,
    paired_wilcoxon,
    rank_biserial,
)
from dermseg.evaluation.statistics.intervals import Interval, MeanInterval, bca_interval, mean_interval
from dermseg.evaluation.statistics.ranks import critical_difference, friedman, rank_stability

__all__ = [
    "Comparison",
    "Interval",
    "MeanInterval",
    "bca_interval",
    "best_system",
    "compare_with_best",
    "critical_difference",
    "friedman",
    "holm",
    "mean_interval",
    "paired_wilcoxon",
    "rank_biserial",
    "rank_stability",
]
