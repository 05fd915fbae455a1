"""Scores of a predicted mask against a target mask, and the scores of many images pooled over their pixels.

Ratios without a denominator follow the official scorer of the ISIC challenge: where there was nothing to
find or nothing to spare, nothing was done wrong, and the score is 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dermseg.errors import DataError
from dermseg.evaluation.metrics.surface import surface_scores

JACCARD_THRESHOLD = 0.65
"""Below this IoU the ISIC 2018 challenge counts an image as failed."""
COUNTS = ("tp", "fp", "fn")
"""Fields of `ImageScores` that `pool` takes."""


@dataclass(frozen=True, slots=True)
class ImageScores:
    """How one predicted mask compares with its target.

    | prediction | target | Dice, IoU, threshold Jaccard, NSD | sensitivity | HD95, ASSD |
    |---|---|---|---|---|
    | empty | empty | 1 | 1 | 0 |
    | empty | lesion | 0 | 0 | diagonal of the image |
    | lesion | empty | 0 | 1 | diagonal of the image |

    Specificity is 1 where the target fills the image.
    """

    dice: float
    iou: float
    sensitivity: float
    specificity: float
    accuracy: float
    threshold_jaccard: float
    """IoU, or 0 where IoU is below `JACCARD_THRESHOLD`."""
    failure: int
    """1 where IoU is below `JACCARD_THRESHOLD`, else 0, so that its mean is the failure rate."""
    hd95: float
    """95th-percentile Hausdorff distance in pixels; see `dermseg.evaluation.metrics.surface`."""
    assd: float
    """Average symmetric surface distance in pixels."""
    nsd: float
    """Normalised surface Dice at a tolerance of 1 % of the image's diagonal."""
    tp: int
    """Lesion pixels found."""
    fp: int
    """Pixels wrongly taken for lesion."""
    fn: int
    """Lesion pixels missed."""
    tn: int
    """Skin pixels left alone."""


@dataclass(frozen=True, slots=True)
class PooledScores:
    """Dice and IoU of all pixels of all images taken together, so that large lesions weigh more."""

    dice: float
    iou: float


def score(prediction: NDArray[np.bool_], target: NDArray[np.bool_]) -> ImageScores:
    """Score one predicted mask.

    Args:
        prediction: Predicted mask (height, width), bool.
        target: True mask of the same shape, bool.

    Raises:
        DataError: The masks are not boolean, not two-dimensional, of different shapes or without pixels.
    """
    _check(prediction, target)
    tp = int(np.count_nonzero(prediction & target))
    fp = int(np.count_nonzero(prediction)) - tp
    fn = int(np.count_nonzero(target)) - tp
    tn = target.size - tp - fp - fn
    iou = _ratio(tp, tp + fp + fn)
    failed = iou < JACCARD_THRESHOLD
    surface = surface_scores(prediction, target)
    return ImageScores(
        dice=_ratio(2 * tp, 2 * tp + fp + fn),
        iou=iou,
        sensitivity=_ratio(tp, tp + fn),
        specificity=_ratio(tn, tn + fp),
        accuracy=(tp + tn) / target.size,
        threshold_jaccard=0.0 if failed else iou,
        failure=int(failed),
        hd95=surface.hd95,
        assd=surface.assd,
        nsd=surface.nsd,
        tp=tp,
        fp=fp,
        fn=fn,
        tn=tn,
    )


def pool(tp: ArrayLike, fp: ArrayLike, fn: ArrayLike) -> PooledScores:
    """Compute Dice and IoU from the pixel counts of all images added up.

    Args:
        tp: Lesion pixels found, per image.
        fp: Pixels wrongly taken for lesion, per image.
        fn: Lesion pixels missed, per image.
    """
    right, wrong = float(np.sum(tp)), float(np.sum(fp) + np.sum(fn))
    return PooledScores(dice=_ratio(2 * right, 2 * right + wrong), iou=_ratio(right, right + wrong))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def _check(prediction: NDArray[np.bool_], target: NDArray[np.bool_]) -> None:
    for name, mask in (("prediction", prediction), ("target", target)):
        if mask.dtype != np.bool_ or mask.ndim != 2 or mask.size == 0:
            raise DataError(
                f"The {name} must be a boolean array (height, width), not {mask.dtype} {mask.shape}; "
                "compare grey values with a threshold first."
            )
    if prediction.shape != target.shape:
        raise DataError(
            f"The prediction is {prediction.shape[1]} x {prediction.shape[0]} pixels but the target "
            f"{target.shape[1]} x {target.shape[0]}; scores need both at the image's own size."
        )
