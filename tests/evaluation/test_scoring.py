"""One prediction beside its target."""

import numpy as np
import pytest
from PIL import Image

from dermseg.data.pairs import Pair
from dermseg.errors import DataError
from dermseg.evaluation.calibration import Calibration
from dermseg.evaluation.metrics import score
from dermseg.evaluation.scoring import score_pair
from dermseg.evaluation.sources import Prediction


@pytest.fixture
def target():
    return np.arange(48).reshape(6, 8) > 30


@pytest.fixture
def pair(target, tmp_path):
    Image.fromarray(target).save(tmp_path / "a.png")
    return Pair("a", tmp_path / "images" / "a.jpg", tmp_path / "a.png")


def test_a_prediction_is_scored_and_its_probabilities_are_counted(pair, target):
    probability = np.random.default_rng(0).random(target.shape).astype(np.float32)
    image, counts = score_pair(pair, Prediction(probability > 0.5, probability))
    assert (image.pair, image.height, image.width) == (pair, 6, 8)
    assert image.scores == score(probability > 0.5, target)
    assert counts.to_json() == Calibration.of(probability, target).to_json()


def test_of_a_mask_alone_nothing_is_counted(pair, target):
    image, counts = score_pair(pair, Prediction(target, None))
    assert (image.scores.dice, counts) == (1, None)


def test_a_prediction_of_another_size_is_named(pair, target):
    with pytest.raises(DataError, match=r"a\.jpg has a mask of 8 x 6 pixels, but its prediction is 6 x 8"):
        score_pair(pair, Prediction(target.T, None))
