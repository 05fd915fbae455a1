"""Scores of a predicted mask against a target mask: `docs/metrics.md` defines each."""

from dermseg.evaluation.metrics.scores import (
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

__all__ = [
    "JACCARD_THRESHOLD",
    "NSD_TOLERANCE",
    "ImageScores",
    "PooledScores",
    "SurfaceScores",
    "border",
    "border_distances",
    "bounding_box",
    "pool",
    "score",
    "surface_scores",
]
