"""One prediction beside its target: scores and calibration."""

from dermseg.data.images import read_mask
from dermseg.data.pairs import Pair
from dermseg.errors import DataError
from dermseg.evaluation.calibration import Calibration
from dermseg.evaluation.metrics import score
from dermseg.evaluation.results import ScoredImage
from dermseg.evaluation.sources import Prediction


def score_pair(pair: Pair, prediction: Prediction) -> tuple[ScoredImage, Calibration | None]:
    """Score the prediction for an image at the image's own size.

    Args:
        pair: The image and its mask.
        prediction: What was predicted of the image.

    Returns:
        The scores, and the calibration over the image's pixels, None if the prediction is a mask alone.

    Raises:
        DataError: The mask cannot be read, or has another size than the prediction.
    """
    target = read_mask(pair.mask)
    height, width = target.shape
    if prediction.mask.shape != target.shape:
        raise DataError(
            f"{pair.image} has a mask of {width} x {height} pixels, but its prediction is "
            f"{prediction.mask.shape[1]} x {prediction.mask.shape[0]}; give both at the image's own size."
        )
    probability = prediction.probability
    calibration = None if probability is None else Calibration.of(probability, target)
    return ScoredImage(pair, height, width, score(prediction.mask, target)), calibration
