"""Presets, and the file a run leaves."""

from dataclasses import replace

import pytest

from dermseg.errors import ConfigError
from dermseg.training.arguments import TrainArguments
from dermseg.training.command import parse
from dermseg.training.configuration import presets, read_preset, read_recipe, recipes, save_configuration


@pytest.mark.parametrize("name", presets())
def test_presets_are_valid(name):
    assert isinstance(parse(["--preset", name]), TrainArguments)


@pytest.mark.parametrize("name", recipes())
def test_recipes_are_valid_and_say_of_whom_they_are(name):
    a = parse(["--recipe", "own", "--model", name])
    assert (a.model, a.recipe) == (name, "own")
    assert TrainArguments(**read_recipe(name)) == a


def test_the_paper_preset_is_the_default():
    assert parse(["--preset", "paper"]) == TrainArguments()


def test_an_unknown_preset_is_named():
    with pytest.raises(ConfigError, match="no preset 'slow'; there are fast, paper"):
        read_preset("slow")


def test_a_saved_configuration_gives_the_same_arguments(tmp_path):
    arguments = TrainArguments(
        model="vm_unet",
        model_arguments={"depths": [1, 2, 1, 1], "width": 16},
        data="/da ta/ü",
        learning_rate=3e-7,
        minimum_learning_rate=0.0,
        patience=4,
        time_budget=2.5,
        cache=tmp_path,
        masks=tmp_path / "masks",
        betas=(0.5, 0.999),
        scales=(0.75, 1.0),
        loss_arguments={"bce_weight": 0.5},
        augmentation={"hue": 0.0},
    )
    save_configuration(tmp_path / "config.yaml", arguments)
    assert parse(["--config", str(tmp_path / "config.yaml")]) == arguments


def test_nothing_is_merged_into_a_saved_configuration(tmp_path):
    recipe = parse(["--recipe", "own", "--model", "xlstm_vmunet"])
    arguments = replace(recipe, augmentation={"hue": 0.0}, model_arguments={"fusion": "multilevel"})
    save_configuration(tmp_path / "config.yaml", arguments)
    assert parse(["--config", str(tmp_path / "config.yaml"), "--preset", "fast"]) == arguments
