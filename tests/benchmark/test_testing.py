"""The test of a cell: scores at the images' own sizes, and masks for the report's pictures."""

import numpy as np
import pytest
from PIL import Image

from dermseg.benchmark import testing
from dermseg.benchmark.testing import save_mask, score_images
from dermseg.data.pairs import Pair
from dermseg.errors import DataError
from dermseg.inference.predictor import Predictor
from inference.fakes import dark_model, disc, write_lesion


@pytest.fixture
def pair(tmp_path):
    mask = disc(60, 80)
    Image.fromarray(mask).save(tmp_path / "a_mask.png")
    return Pair("a", write_lesion(tmp_path / "a.png", mask), tmp_path / "a_mask.png")


@pytest.mark.parametrize(("native", "shape"), [(True, (60, 80)), (False, (30, 40))])
def test_masks_are_reduced_unless_they_are_wanted_whole(pair, tmp_path, monkeypatch, native, shape):
    monkeypatch.setattr(testing, "MASK_SIDE", 40)
    [image], calibration = score_images(Predictor(dark_model()), [pair], tmp_path / "masks", native=native)
    kept = np.asarray(Image.open(tmp_path / "masks" / "a.png"))
    assert (kept.dtype, kept.shape) == (bool, shape)
    assert kept.mean() == pytest.approx(disc(60, 80).mean(), rel=0.1)
    assert (image.pair, image.height, image.width) == (pair, 60, 80)
    assert image.scores.dice > 0.95
    assert calibration.count.sum() == 60 * 80


def test_an_image_that_cannot_be_read_ends_the_test(pair, tmp_path):
    pair.image.write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.png is empty"):
        score_images(Predictor(dark_model()), [pair], tmp_path / "masks")


def test_a_hairs_breadth_of_a_mask_does_not_vanish(tmp_path):
    save_mask(np.ones((1, 2000), bool), tmp_path / "mask.png", 512)
    kept = np.asarray(Image.open(tmp_path / "mask.png"))
    assert kept.shape == (1, 512)
    assert kept.all()
