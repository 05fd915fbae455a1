"""The test of a cell: every image of the fold's test side predicted and scored at its native resolution."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermseg.data.pairs import Pair
from dermseg.evaluation.calibration import Calibration
from dermseg.evaluation.results import ScoredImage
from dermseg.evaluation.scoring import score_pair
from dermseg.evaluation.sources import predicted
from dermseg.files import replacing
from dermseg.inference.predictor import Predictor

MASK_SIDE = 512
"""Longest side in pixels of stored masks: they serve the report's pictures, and scores are there already."""


def score_images(
    predictor: Predictor, pairs: Iterable[Pair], masks: Path, *, native: bool = False
) -> tuple[list[ScoredImage], Calibration]:
    """Predict and score images, and keep their masks.

    Args:
        predictor: The network.
        pairs: Images with their masks.
        masks: Folder that receives IDENTIFIER.png, one bit per pixel.
        native: Keep masks at the size of their images, not reduced to `MASK_SIDE`.

    Returns:
        Scores of every image, and the calibration over all their pixels.

    Raises:
        DataError: An image cannot be read, or its mask has another size. Scores of the others would not be
            those of this test side.
        CheckpointError: The network is broken.
    """
    images: list[ScoredImage] = []
    calibration = Calibration.none()
    for pair in pairs:
        prediction = predicted(predictor, pair)
        image, counts = score_pair(pair, prediction)
        images.append(image)
        if counts is not None:
            calibration += counts
        save_mask(prediction.mask, masks / f"{pair.identifier}.png", None if native else MASK_SIDE)
    return images, calibration


def save_mask(mask: NDArray[np.bool_], path: Path, side: int | None) -> None:
    """Write a mask (height, width) as PNG of one bit, reduced so that no side exceeds `side` pixels."""
    picture = Image.fromarray(mask)
    longest = max(mask.shape)
    if side is not None and longest > side:
        # Of width and height; a hair's breadth of a mask must not vanish altogether.
        reduced = tuple(max(1, round(length * side / longest)) for length in picture.size)
        picture = picture.resize(reduced, Image.Resampling.NEAREST)
    with replacing(path) as temporary:
        picture.save(temporary, optimize=True)
