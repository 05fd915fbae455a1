"""Fitting weights that ship: on the images of one network, or on those of the networks of folds."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from dermseg.card.calibrate import calibrate
from dermseg.card.fitting import THRESHOLDS, best_threshold, fold_temperature
from dermseg.card.overlap import dice
from dermseg.data.images import read_image, read_mask
from dermseg.data.pairs import Pair
from dermseg.inference.predictor import Predictor
from dermseg.models import registry
from dermseg.models.base import Preprocessing, SegmentationModel
from dermseg.models.registry import ModelInfo, create_model
from dermseg.models.weights import load_model, read_notes, save_model

SIDE = 64


class Dark(SegmentationModel):
    """Logits rise as pixels darken, far too steeply."""

    def __init__(self) -> None:
        super().__init__()
        self.preprocessing = Preprocessing(size=SIDE, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        self.decoder = nn.Module()
        self.decoder.head = nn.Conv2d(3, 1, 1)
        nn.init.constant_(self.decoder.head.weight, -20.0)
        nn.init.zeros_(self.decoder.head.bias)

    def forward_padded(self, images):
        return self.decoder.head(images)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Write the network, with notes."""
    info = ModelInfo("Fake", 2026, "fake", "", "", "", 1)
    monkeypatch.setitem(registry._entries, "dark", registry._Entry(Dark, {}, info))
    notes = {"kept": 1, "fingerprints": {"a": "picture"}, "earlier": {"fingerprints": {"b": "picture"}}}
    notes["members"] = [{"fingerprints": {"c": "picture"}}]

    def write(name):
        save_model(create_model("dark"), tmp_path / name, notes=notes)
        return tmp_path / name

    return write


@pytest.fixture
def pairs(tmp_path):
    """Discs of grey levels that are right in nine pixels of ten."""
    generator = np.random.default_rng(0)
    found = []
    for number in range(6):
        y, x = np.mgrid[:SIDE, :SIDE]
        mask = np.hypot(y - 32, x - 32) < 8 + 3 * number
        seen = mask ^ (generator.random(mask.shape) < 0.1)
        grey = np.where(seen, 118, 138) + generator.integers(-8, 9, mask.shape)
        pair = Pair(str(number), tmp_path / f"{number}.png", tmp_path / f"{number}_mask.png")
        Image.fromarray(np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)).save(pair.image)
        Image.fromarray(mask).save(pair.mask)
        found.append(pair)
    return found


def test_one_network_is_fitted_on_its_own_images(weights, pairs, tmp_path):
    path = weights("run.safetensors")
    fitted = calibrate(path, [(path, pairs)], tmp_path / "out.safetensors", (32, SIDE))
    assert (fitted.images, fitted.networks) == (6, 1)
    assert set(fitted.dice_by_size) == {32, SIDE}
    model = load_model(tmp_path / "out.safetensors")
    assert model.preprocessing.size == fitted.size == max(fitted.dice_by_size, key=fitted.dice_by_size.get)
    assert (model.threshold, model.expected_dice is not None) == (fitted.threshold, True)
    images = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(
        model(images) * fitted.temperature, create_model("dark")(images), rtol=2e-3, atol=2e-3
    )


def test_networks_of_folds_are_fitted_together_and_another_ships(weights, pairs, tmp_path):
    shipped, first, second = (weights(f"{name}.safetensors") for name in "abc")
    apart = [(first, pairs[:3]), (second, pairs[3:])]
    together = calibrate(shipped, apart, tmp_path / "apart.safetensors", (SIDE,))
    alone = calibrate(shipped, [(first, pairs)], tmp_path / "alone.safetensors", (SIDE,))
    assert (together.images, together.networks, alone.networks) == (6, 2, 1)
    # The networks are the same, so it must not matter which of them saw an image.
    assert together.temperature == pytest.approx(alone.temperature)
    assert alone.temperature > 1  # right in nine pixels of ten, and sure of all
    assert together.dice_by_threshold == pytest.approx(alone.dice_by_threshold)
    assert alone.crossed_thresholds == []


def test_the_threshold_of_a_fold_is_chosen_without_its_images(weights, pairs, tmp_path):
    first, second = (weights(f"{name}.safetensors") for name in "ab")
    together = calibrate(
        weights("c.safetensors"),
        [(first, pairs[:2]), (second, pairs[2:])],
        tmp_path / "out.safetensors",
        (SIDE,),
    )
    # Under the temperature of both, the images of the one choose what the other gets.
    for crossed, others in zip(together.crossed_thresholds, (pairs[2:], pairs[:2]), strict=True):
        network = load_model(first)
        fold_temperature(network, together.temperature)
        predictor = Predictor(network)
        found = [
            [
                dice(predictor.predict(read_image(pair.image)).probability >= threshold, read_mask(pair.mask))
                for threshold in THRESHOLDS
            ]
            for pair in others
        ]
        assert crossed == best_threshold(np.asarray(found))


def test_what_is_fitted_to_averages_over_mirror_images_predicts_them(weights, pairs, tmp_path):
    path = weights("run.safetensors")
    assert not calibrate(path, [(path, pairs)], tmp_path / "plain.safetensors", (SIDE,)).mirrors
    assert not load_model(tmp_path / "plain.safetensors").mirrors
    assert calibrate(path, [(path, pairs)], tmp_path / "out.safetensors", (SIDE,), mirrors=True).mirrors
    assert load_model(tmp_path / "out.safetensors").mirrors


def test_no_picture_of_an_image_goes_into_the_file(weights, pairs, tmp_path):
    path = weights("run.safetensors")
    calibrate(path, [(path, pairs)], tmp_path / "out.safetensors", (SIDE,))
    notes = read_notes(tmp_path / "out.safetensors")
    assert notes["kept"] == 1
    assert notes["calibration"]["images"] == 6
    assert "picture" not in json.dumps(notes)
