"""Scores of a predicted mask against a target mask: `docs/metrics.md` defines each."""

from dermseg.evaluation.metrics.scores import (
    COUNTS,
    JACCARD_THRESHOLD,
    ImageScores,
    PooledScores,
    pool,
    score,
)
from dermseg.evaluation.metrics.surface import (
    NSD_TOLERANCE,
    SurfaceScores,
    border,
    border_distances,
    bounding_box,
    surface_scores,
)
from dermseg.evaluation.metrics.table import METRICS, Metric

__all__ = [
    "COUNTS",
    "JACCARD_THRESHOLD",
    "METRICS",
    "NSD_TOLERANCE",
    "ImageScores",
    "Metric",
    "PooledScores",
    "SurfaceScores",
    "border",
    "border_distances",
    "bounding_box",
    "pool",
    "score",
    "surface_scores",
]
