"""What a benchmark that goes on takes, and what it refuses."""

import shutil
from dataclasses import replace

import pytest
from rich.console import Console

from dermseg.benchmark.preparation import prepare_benchmark
from dermseg.errors import ConfigError, DataError

SYSTEMS = ["fa_net", "unet"]
"""Under their own recipes, trained for 500 and for 100 epochs."""


@pytest.fixture
def own(grid, tmp_path):
    """Return a function that begins or continues a benchmark of the authors' recipes with these settings."""

    def prepare(models=(), **settings):
        request = grid(tmp_path / "results", models=list(models), recipe="own")
        common = {"size": 32, "threads": 1, "cache": request.arguments.settings["cache"]}
        return prepare_benchmark(
            replace(request, arguments=replace(request.arguments, settings=common | settings)),
            Console(quiet=True),
        )

    return prepare


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 150}, "settings.epochs is 150, but the benchmark in .* has 500 for fa_net"),
        ({"epochs": 500}, "settings.epochs is 500, but the benchmark in .* has 100 for unet"),
        ({"optimizer": "adamw"}, "settings.optimizer is adamw, but .* has adam for fa_net"),
        ({"learning_rate": 0.001}, "settings.learning_rate is 0.001, but .* has 0.0001 for fa_net"),
        ({"loss_arguments": {"smooth": 0.5}}, "settings.loss_arguments is .*0.5.*, but"),
    ],
)
def test_what_changes_the_training_of_any_system_is_refused(own, settings, message):
    own(SYSTEMS)
    with pytest.raises(ConfigError, match=message):
        own(**settings)


def test_what_every_recipe_says_already_is_taken(own):
    begun = own(SYSTEMS)
    assert begun.epochs == {"fa_net": 500, "unet": 100}
    going_on = own(optimizer="adam", workers=1)
    assert going_on.epochs == begun.epochs
    assert going_on.settings["workers"] == 1


def test_the_value_of_the_one_recipe_is_taken(own):
    own(["fa_net"])
    assert own(epochs=500).epochs == {"fa_net": 500}


def test_other_images_than_it_began_with_are_refused(grid, drawn, tmp_path):
    prepare_benchmark(grid(tmp_path / "results"), Console(quiet=True))
    fewer = shutil.copytree(drawn, tmp_path / drawn.name)
    next((fewer / "images").iterdir()).unlink()
    before = (tmp_path / "results" / "benchmark.json").read_bytes()
    with pytest.raises(DataError, match="11 usable images that are not the 12"):
        prepare_benchmark(grid(tmp_path / "results", data=str(fewer)), Console(quiet=True))
    assert (tmp_path / "results" / "benchmark.json").read_bytes() == before


@pytest.mark.parametrize("name", ["data", "masks"])
def test_a_link_that_leads_to_itself_is_no_folder(grid, tmp_path, name):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    request = grid(tmp_path / "results")
    changed = {name: str(loop) if name == "data" else loop}
    with pytest.raises(DataError, match="loop is not a folder"):
        prepare_benchmark(
            replace(request, arguments=replace(request.arguments, **changed)), Console(quiet=True)
        )
