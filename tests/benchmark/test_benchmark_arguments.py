"""The words and files of `dermseg benchmark run`."""

from dataclasses import fields
from pathlib import Path

import pytest

from dermseg.benchmark.arguments import BenchmarkArguments, parse
from dermseg.errors import ConfigError


def test_words_become_arguments():
    words = (
        "--models unet unext+dims=3 --data DATA --folds 3 --recipe own --time-budget 1.5 --allow-leak "
        "--settings.epochs 3 --settings.learning_rate 1e-3 --engine_options.num_gpus 1 --engine ray"
    )
    request = parse(words.split())
    a = request.arguments
    assert (a.models, a.data, a.folds, a.recipe) == (["unet", "unext+dims=3"], "DATA", 3, "own")
    assert (a.time_budget, a.allow_leak, a.keep_masks) == (1.5, True, False)
    assert (a.settings, a.engine_options) == ({"epochs": 3, "learning_rate": 1e-3}, {"num_gpus": 1})
    assert request.given == {
        *("models", "data", "folds", "recipe", "time_budget", "allow_leak", "settings"),
        *("engine", "engine_options"),
    }


def test_nothing_given_is_known_as_such():
    request = parse(["--out", "RESULTS"])
    assert (request.given, request.arguments.out) == ({"out"}, Path("RESULTS"))


def test_flags_win_over_files_and_settings_merge(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "models: [unet, {label: s, model: xlstm_vmunet, model_arguments: {xlstm_layers: s}}]\n"
        ""
        "folds: 3\nkeep_masks: true\n"
        "settings: {epochs: 5, size: 64, augmentation: {preset: strong}}\n"
    )
    (tmp_path / "b.yaml").write_text("folds: 4\n")
    words = [
        "--config",
        str(tmp_path / "a.yaml"),
        "--config",
        str(tmp_path / "b.yaml"),
        "--settings.epochs",
        "2",
        "--settings.augmentation",
        "{hue: 0}",
    ]
    a = parse(words).arguments
    augmentation = {"preset": "strong", "hue": 0}
    assert a.settings == {"epochs": 2, "size": 64, "augmentation": augmentation}
    assert (a.folds, a.keep_masks) == (4, True)
    assert a.models[1]["model_arguments"] == {"xlstm_layers": "s"}
    assert parse([*words, "--models", "unext"]).arguments.models == ["unext"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modles: [unet]", "no option 'modles'"),
        ("models: unet", "models must be a list"),
        ("models: [[unet]]", "neither a name nor a mapping"),
        ("folds: many", "folds"),
        ("folds: 1", "folds is 1; it must be at least 2"),
        ("settings: 3", "settings"),
        ("allow_leak: maybe", "allow_leak"),
        ("- 1", "name: value"),
        ("models: [", "cannot be read as YAML"),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path, text, message):
    (tmp_path / "grid.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        parse(["--config", str(tmp_path / "grid.yaml")])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--modles unet", "--modles"),
        ("--seeds 0", "seeds is 0"),
        ("--workers -1", "workers is -1"),
        ("--attempts 0", "attempts is 0"),
        ("--time_budget 0", "time_budget is 0"),
        ("--time_budget .inf", "time_budget is inf"),
        ("--engine cloud", "engine"),
        ("--engine ray --workers 0", "only the local engine"),
        ("--engine_options.num_gpus 1", "engine_options are for"),
    ],
)
def test_mistaken_words_are_named(words, message):
    with pytest.raises(ConfigError, match=message):
        parse(words.split())


def test_help_names_every_field(capsys):
    with pytest.raises(SystemExit):
        parse(["--help"])
    text = capsys.readouterr().out
    assert [entry.name for entry in fields(BenchmarkArguments) if f"--{entry.name}" not in text] == []


def test_a_mapping_that_is_none_stays_to_be_named(tmp_path):
    (tmp_path / "grid.yaml").write_text("settings: {augmentation: strong, loss_arguments: [1]}")
    settings = parse(["--config", str(tmp_path / "grid.yaml"), "--settings.epochs", "3"]).arguments.settings
    assert settings == {"augmentation": "strong", "loss_arguments": [1], "epochs": 3}
