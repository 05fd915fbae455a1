from dataclasses import replace

import numpy as np
import pytest
import torch

from dermseg.data.augment import normalize
from dermseg.data.geometry import place
from dermseg.data.images import resize_image
from dermseg.errors import CheckpointError, ConfigError, DataError
from dermseg.inference.predictor import Predictor
from dermseg.models.expected_dice import ExpectedDice

from .fakes import DarkPixels, dark_model, disc, lesion_image


@pytest.mark.parametrize("shape", [(64, 64), (48, 131), (301, 200), (1, 1), (3, 500)])
def test_result_has_the_size_of_the_image_and_its_parts_agree(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    found = Predictor(dark_model()).predict(image, "there")
    assert found.probability.shape == found.mask.shape == shape
    assert found.probability.dtype == np.float32
    assert found.mask.dtype == bool
    np.testing.assert_array_equal(found.mask, found.probability >= found.threshold)
    assert (found.source, found.model, found.threshold) == ("there", "dark_pixels", 0.5)


def test_outline_at_native_size_follows_the_lesion():
    mask = disc(450, 600)
    found = Predictor(dark_model()).predict(lesion_image(mask)).mask
    # The network sees 64 x 64 pixels, so an error of a pixel there is about ten here.
    assert (found & mask).sum() / (found | mask).sum() > 0.97


def test_logits_not_probabilities_are_resized():
    model = dark_model()
    image = np.random.default_rng(1).integers(0, 256, (100, 90, 3), dtype=np.uint8)
    batch = torch.tensor(resize_image(image, 64)).permute(2, 0, 1)[None]
    with torch.no_grad():
        logits = model(normalize(batch, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))
        wanted = torch.nn.functional.interpolate(logits, (100, 90), mode="bilinear").sigmoid()[0, 0]
    np.testing.assert_allclose(Predictor(model).predict(image).probability, wanted.numpy(), atol=1e-6)


def test_threshold_is_the_networks_own_unless_given():
    model = dark_model()
    model.threshold = 0.9
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    own, lower = Predictor(model).predict(image), Predictor(model, threshold=0.1).predict(image)
    assert (own.threshold, lower.threshold) == (0.9, 0.1)
    assert own.mask.sum() < lower.mask.sum()


def test_the_weights_estimate_of_dice_is_that_of_this_outline():
    model = dark_model()
    image = lesion_image(disc(50, 70))
    assert Predictor(model).predict(image).expected_dice is None
    model.expected_dice = ExpectedDice(-0.2, 1.1)
    found = Predictor(model).predict(image)
    assert found.expected_dice == model.expected_dice(found.probability, found.mask)


class Leaning(DarkPixels):
    """Darkness, and how far to the right and below a pixel is: no mirror image gets the same logits."""

    def forward_padded(self, images):
        rows, columns = (torch.linspace(-3, 3, side) for side in images.shape[2:])
        return super().forward_padded(images) + columns + rows[:, None]


def test_augmentation_at_test_time_averages_the_logits_of_four_mirror_images():
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    leaning, upright = Leaning(), DarkPixels()
    expected = Predictor(upright).predict(image).probability
    assert np.abs(Predictor(leaning).predict(image).probability - expected).max() > 0.1
    averaged = Predictor(leaning, tta=True).predict(image).probability
    # What leans right in one image leans left in its mirror image; the darkness is left.
    np.testing.assert_allclose(averaged, expected, atol=1e-5)


def test_the_weights_say_whether_mirror_images_are_averaged_unless_told_otherwise():
    model = dark_model()
    assert [Predictor(model, tta=tta).tta for tta in (None, True, False)] == [False, True, False]
    model.mirrors = True
    assert [Predictor(model, tta=tta).tta for tta in (None, True, False)] == [True, True, False]


@pytest.mark.parametrize("axes", [(1,), (0,), (0, 1)])
def test_augmentation_at_test_time_makes_mirror_images_alike(axes):
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    predictor = Predictor(Leaning(), tta=True)
    found = predictor.predict(image).probability
    mirrored = predictor.predict(np.flip(image, axes).copy()).probability
    np.testing.assert_allclose(np.flip(mirrored, axes), found, atol=1e-5)


def test_training_mode_does_not_reach_prediction():
    model = dark_model().train()
    Predictor(model)
    assert not model.training


def test_broken_weights_are_not_an_empty_mask():
    model = dark_model()
    model.steepness.data.fill_(float("nan"))
    with pytest.raises(CheckpointError, match=r"not finite for x\.png"):
        Predictor(model).predict(lesion_image(disc(8, 8)), "x.png")


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_other_arrays_are_refused(image):
    with pytest.raises(DataError, match="read_image"):
        Predictor(dark_model()).predict(image)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0, float("nan")])
def test_threshold_must_be_a_probability(threshold):
    with pytest.raises(ConfigError, match="threshold"):
        Predictor(dark_model(), threshold=threshold)


def test_device_is_checked_before_the_network_is_moved():
    with pytest.raises(ConfigError, match="gpu"):
        Predictor(dark_model(), "gpu")


@pytest.mark.parametrize("geometry", ["squash", "fit", "crop"])
@pytest.mark.parametrize("shape", [(90, 300), (300, 90), (128, 128)])
def test_each_geometry_finds_the_lesion_where_it_is(geometry, shape):
    model = dark_model()
    model.preprocessing = replace(model.preprocessing, geometry=geometry)
    mask = disc(*shape, radius=30, centre=(shape[0] / 2 + 5, shape[1] / 2 - 6))
    found = Predictor(model).predict(lesion_image(mask)).mask
    assert (found & mask).sum() / (found | mask).sum() > 0.93


@pytest.mark.parametrize("shape", [(40, 100), (100, 40)])
def test_what_a_crop_does_not_show_is_not_lesion(shape):
    model = dark_model()
    model.preprocessing = replace(model.preprocessing, geometry="crop")
    found = Predictor(model).predict(lesion_image(np.ones(shape, bool)))
    middle = place(*shape, 64, "crop").source.slices
    assert found.mask[middle].all()
    assert found.mask.sum() == 40 * 40
    assert np.count_nonzero(found.probability) == 40 * 40


def test_the_mirrored_rest_of_a_fitted_square_is_no_part_of_the_result():
    """A lesion at the edge is mirrored in the square; the mirror image must not be found anywhere."""
    model = dark_model()
    model.preprocessing = replace(model.preprocessing, geometry="fit")
    mask = disc(60, 180, radius=20, centre=(0, 90))
    found = Predictor(model).predict(lesion_image(mask)).mask
    assert (found & mask).sum() / (found | mask).sum() > 0.93
