"""Scores of a predicted mask against a target mask, and the scores of many images pooled over their pixels.

Ratios without a denominator follow the official scorer of the ISIC challenge: where there was nothing to
find or nothing to spare, nothing was done wrong, and the score is 1.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dermseg.errors import DataError

JACCARD_THRESHOLD = 0.65
"""Below this IoU the ISIC 2018 challenge counts an image as failed."""


@dataclass(frozen=True, slots=True)
class ImageScores:
    """How one predicted mask compares with its target.

    | prediction | target | Dice, IoU, threshold Jaccard | sensitivity | HD95 |
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
    hd95: float
    """95th-percentile Hausdorff distance in pixels; see `hausdorff95`."""
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
    return ImageScores(
        dice=_ratio(2 * tp, 2 * tp + fp + fn),
        iou=iou,
        sensitivity=_ratio(tp, tp + fn),
        specificity=_ratio(tn, tn + fp),
        accuracy=(tp + tn) / target.size,
        threshold_jaccard=iou if iou >= JACCARD_THRESHOLD else 0.0,
        hd95=hausdorff95(prediction, target),
        tp=tp,
        fp=fp,
        fn=fn,
        tn=tn,
    )


def pool(scores: Iterable[ImageScores]) -> PooledScores:
    """Compute Dice and IoU from the pixel counts of all images added up."""
    tp = wrong = 0
    for image in scores:
        tp += image.tp
        wrong += image.fp + image.fn
    return PooledScores(dice=_ratio(2 * tp, 2 * tp + wrong), iou=_ratio(tp, tp + wrong))


def hausdorff95(prediction: NDArray[np.bool_], target: NDArray[np.bool_]) -> float:
    """Measure the 95th-percentile Hausdorff distance between the borders of two masks.

    A border pixel is a lesion pixel with a skin pixel, or the end of the image, on at least one of its
    four sides. From every border pixel of one mask the Euclidean distance to the nearest border pixel of
    the other is taken; of each direction the 95th percentile (linear between ranks); of the two, the
    larger. MONAI defines it so; other tools pool both directions before taking the percentile.

    Args:
        prediction: Predicted mask (height, width), bool.
        target: True mask of the same shape, bool.

    Returns:
        Distance in pixels. 0 if both masks are empty. If one is, the diagonal of the image: no distance
        can be larger, so that predicting nothing never improves an average.
    """
    if not prediction.any() or not target.any():
        both = prediction.any() == target.any()
        return 0.0 if both else float(np.hypot(*target.shape))
    box = bounding_box(prediction | target)
    ours, theirs = np.argwhere(border(prediction[box])), np.argwhere(border(target[box]))
    # A tree over the border pixels: a distance map over all pixels gives the same at ten times the cost.
    forth, _ = cKDTree(theirs).query(ours)
    back, _ = cKDTree(ours).query(theirs)
    return float(max(np.percentile(forth, 95), np.percentile(back, 95)))


def border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the pixels of a mask (height, width) that touch its outside, or the image's end, by a side."""
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inside


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Find the smallest slices (rows, columns) that hold all of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _ratio(part: int, whole: int) -> float:
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
