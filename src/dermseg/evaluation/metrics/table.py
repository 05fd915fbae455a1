"""The scores that are averaged over images: what they are called, and which way is better."""

from collections.abc import Mapping
from dataclasses import dataclass

from dermseg.evaluation.metrics.scores import JACCARD_THRESHOLD
from dermseg.evaluation.metrics.surface import NSD_TOLERANCE


@dataclass(frozen=True, slots=True)
class Metric:
    """How a field of `ImageScores` is shown."""

    label: str
    """The name it is printed under."""
    lower_is_better: bool = False
    pixels: bool = False
    """Whether it is a distance, and not between 0 and 1."""


METRICS: Mapping[str, Metric] = {
    "dice": Metric("Dice"),
    "iou": Metric("IoU"),
    "sensitivity": Metric("sensitivity"),
    "specificity": Metric("specificity"),
    "accuracy": Metric("accuracy"),
    "threshold_jaccard": Metric(f"threshold Jaccard ({JACCARD_THRESHOLD})"),
    "failure": Metric(f"failures (IoU < {JACCARD_THRESHOLD})", lower_is_better=True),
    "hd95": Metric("HD95 (pixels)", lower_is_better=True, pixels=True),
    "assd": Metric("ASSD (pixels)", lower_is_better=True, pixels=True),
    "nsd": Metric(f"NSD ({100 * NSD_TOLERANCE:g} % of diagonal)"),
}
"""By field, in the order in which tables list them."""
