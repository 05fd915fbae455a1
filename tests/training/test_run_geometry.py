"""A network predicts in the geometry that it was trained in."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console

from dermseg.data.augment import normalize
from dermseg.data.geometry import place
from dermseg.data.images import read_image, resize_image
from dermseg.errors import CheckpointError, ConfigError
from dermseg.inference.predictor import Predictor
from dermseg.models.weights import load_model, save_model
from dermseg.training.command import parse
from dermseg.training.run import train
from dermseg.training.sources import load_images

pytestmark = pytest.mark.usefixtures("no_pictures")


def test_trained_weights_predict_what_training_showed(tiny):
    result = train(tiny(geometry="fit", epochs=1), Console(file=io.StringIO(), width=200))
    assert "geometry: fit" in (result.folder / "config.yaml").read_text()
    model = load_model(result.weights)
    assert model.preprocessing.geometry == "fit"
    seen = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    probability = Predictor(model).predict(image).probability
    shown = seen[0][0] * torch.tensor(model.preprocessing.std).view(3, 1, 1)
    shown = (shown + torch.tensor(model.preprocessing.mean).view(3, 1, 1)) * 255
    np.testing.assert_allclose(shown.permute(1, 2, 0), resize_image(image, 32, "fit"), atol=1e-3)
    with torch.inference_mode():
        logits = model(seen[0])[:, :, *place(40, 60, 32, "fit").target.slices]
        wanted = torch.nn.functional.interpolate(logits, (40, 60), mode="bilinear").sigmoid()[0, 0]
    np.testing.assert_allclose(probability, wanted, atol=1e-6)


def test_a_run_is_resumed_in_its_own_geometry_only(tiny):
    arguments = tiny(geometry="crop", epochs=1)
    console = Console(file=io.StringIO(), width=200)
    train(arguments, console)
    with pytest.raises(ConfigError, match=r"geometry is squash, but the run .* was started with crop"):
        train(replace(arguments, geometry="squash", resume=True), console)


def test_unknown_geometries_are_refused(tiny, tmp_path):
    with pytest.raises(ConfigError, match="geometry"):
        parse(["--geometry", "stretch"])
    with pytest.raises(ConfigError, match="geometry is 'stretch'; choose squash, fit, crop"):
        tiny(geometry="stretch")


def test_weights_of_a_geometry_that_is_not_known_are_refused(tiny, tmp_path, monkeypatch):
    result = train(tiny(geometry="fit", epochs=1), Console(file=io.StringIO(), width=200))
    model = load_model(result.weights)
    object.__setattr__(model.preprocessing, "geometry", "stretch")
    save_model(model, tmp_path / "odd.safetensors")
    with pytest.raises(CheckpointError, match="geometry is 'stretch'"):
        load_model(tmp_path / "odd.safetensors")


def test_preprocessing_goes_the_same_way(tiny, tmp_path):
    arguments = tiny(preprocessing=parse(["--preprocessing", "[shades_of_grey]"]).preprocessing, epochs=1)
    result = train(arguments, Console(file=io.StringIO(), width=200))
    model = load_model(result.weights)
    assert model.preprocessing.steps == ("shades_of_grey",)
    images = load_images(arguments, result.folder / "split.json", Console(quiet=True))
    pair = images.collection.select(images.train.identifiers[:1])[0]
    seen = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    Predictor(model).predict(read_image(pair.image))
    preprocessing = model.preprocessing
    trained = normalize(images.train[[0]][0], preprocessing.mean, preprocessing.std)
    torch.testing.assert_close(seen[0], trained)
    plain = load_images(tiny(), tmp_path / "split.json", Console(quiet=True))
    assert plain.train.cache.directory != images.train.cache.directory
