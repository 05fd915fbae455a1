"""From the words of `dermseg train` to arguments."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from dermseg.errors import ConfigError
from dermseg.training.arguments import TrainArguments
from dermseg.training.command import parse


@pytest.fixture
def config(tmp_path):
    def write(text: str, name: str = "config.yaml") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def test_no_words_give_the_defaults():
    assert parse([]) == TrainArguments()


def test_flag_over_file_over_preset_over_default_in_any_order(config):
    path = config("size: 96\nbatch_size: 5\n")
    for words in (
        ["--preset", "fast", "--config", path, "--batch_size", "6"],
        ["--batch_size", "6", "--config", path, "--preset", "fast"],
    ):
        a = parse(words)
        assert (a.batch_size, a.size, a.epochs, a.weight_decay) == (6, 96, 20, 0.01)


def test_a_later_file_wins(config):
    first, second = config("size: 64\nepochs: 3\n", "a.yaml"), config("size: 96\n", "b.yaml")
    a = parse(["--config", first, "--config", second])
    assert (a.size, a.epochs) == (96, 3)


def test_model_arguments_merge_for_one_model(config):
    path = config("model_arguments:\n  fusion: rows\n  width: 32\n")
    a = parse(["--config", path, "--model_arguments.width", "16"])
    assert a.model_arguments == {"fusion": "rows", "width": 16}


def test_model_arguments_beside_which_no_model_is_named_are_for_the_chosen_one(config):
    path = config("model_arguments: {width: 24}")
    assert parse(["--config", path, "--model", "vm_unet"]).model_arguments == {"width": 24}


def test_model_arguments_do_not_outlive_their_model():
    assert parse(["--preset", "fast", "--model", "vm_unet"]).model_arguments == {}


def test_augmentation_merges_on_one_preset(config):
    path = config("augmentation: {preset: strong, hair: 0.5}")
    a = parse(["--config", path, "--augmentation.hue", "0"])
    assert a.augmentation == {"preset": "strong", "hair": 0.5, "hue": 0}
    assert parse(["--config", path, "--augmentation.preset", "none"]).augmentation == {"preset": "none"}
    default = config("augmentation: {hair: 0.5}")
    same, other = (
        parse(["--config", default, "--augmentation.preset", name]) for name in ("default", "none")
    )
    assert (same.augmentation, other.augmentation) == ({"preset": "default", "hair": 0.5}, {"preset": "none"})


def test_loss_arguments_merge_for_one_loss():
    words = ["--recipe", "own", "--model", "fa_net"]
    a = parse([*words, "--loss_arguments.smooth", "0.5"])
    assert a.loss_arguments == {"bce_weight": 0.5, "dice_weight": 0.5, "pooled": True, "smooth": 0.5}
    assert parse([*words, "--loss", "structure"]).loss_arguments == {}


def test_a_recipe_lies_under_preset_file_and_flag(config):
    path = config("batch_size: 5\nrecipe: own\nmodel: pra_net\n")
    a = parse(["--config", path, "--learning_rate", "0.5"])
    assert (a.loss, a.deep_supervision, a.scales) == ("structure", "sum", (0.75, 1.0, 1.25))
    assert (a.batch_size, a.learning_rate, a.size, a.recipe) == (5, 0.5, 352, "own")
    assert parse(["--config", path, "--preset", "fast"]).size == 128
    assert parse(["--config", path, "--recipe", "common"]).size == 256


def test_a_recipes_model_arguments_can_be_overridden_one_by_one():
    words = ["--model_arguments.pretrained", "false", "--model_arguments.width", "32"]
    a = parse(["--recipe", "own", "--model", "trans_unet", *words])
    assert a.model_arguments == {"pretrained": False, "size": 224, "width": 32}


def test_a_network_without_a_known_recipe_is_named():
    with pytest.raises(ConfigError, match=r"released training of 'unte' is not known; it is of .*unet"):
        parse(["--recipe", "own", "--model", "unte"])


def test_a_resumed_run_keeps_the_recipe_it_was_started_with(config, tmp_path):
    config("model: pra_net\nrecipe: own\nsize: 96\nloss: bce_dice\n")
    a = parse(["--resume", str(tmp_path)])
    assert (a.recipe, a.size, a.loss) == ("own", 96, "bce_dice")


def test_nothing_of_the_recipe_comes_back_into_a_run_without_it(config, tmp_path):
    config("model: xlstm_vmunet\nrecipe: own\naugmentation: {}\nloss_arguments: {}\n")
    a = parse(["--resume", str(tmp_path)])
    assert (a.augmentation, a.loss_arguments) == ({}, {})


def test_words_may_be_joined_by_hyphens():
    a = parse(["--batch-size", "4", "--learning-rate=0.5"])
    assert (a.batch_size, a.learning_rate) == (4, 0.5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sizes", "3"], r"--sizes 3 \(did you mean --size\?\)"),
        (["--epoch", "1"], r"--epoch 1 \(did you mean --epochs\?\)"),
        (["--size", "large"], '"size".*large'),
        (["--size", "0"], "size is 0"),
        (["--device", "tpu"], "device.*tpu"),
        (["--preset", "slow"], "preset.*slow"),
        (["--recipe", "mine"], "recipe.*mine"),
        (["--loss", "hinge"], "loss.*hinge"),
        (["--optimizer", "lion"], "optimizer.*lion"),
        (["--config", "absent.yaml"], "cannot read.*absent.yaml"),
        (["--resume"], "resume needs the run folder"),
        (["--resume", "absent"], "absent is not a run folder"),
    ],
)
def test_mistaken_words_are_named(words, message):
    with pytest.raises(ConfigError, match=message):
        parse(words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sizes: 3\n", "config.yaml.*'sizes'"),
        ("size: large\n", 'config.yaml.*"size".*large'),
        ("size: 0\n", "size is 0"),
        ("augment: perhaps\n", "config.yaml.*augment.*perhaps"),
        ("- size\n", "config.yaml must be lines"),
        ("size: [\n", "config.yaml cannot be read as YAML"),
        ("epochs: 3\nepochs: 4\n", "config.yaml cannot be read as YAML: line 2 sets 'epochs' again"),
        ("model_arguments: &a {x: *a}\n", "config.yaml cannot be read as YAML: .* alias"),
        ("seed: 2020-13-45\n", "config.yaml cannot be read as YAML"),
        ("loss_arguments: " + "[" * 3000, "config.yaml cannot be read as YAML"),
        ("resume: true\n", "config.yaml.*'resume'"),
        ("", "config.yaml must be lines"),
    ],
)
def test_mistakes_in_a_file_are_named(config, text, message):
    with pytest.raises(ConfigError, match=message):
        parse(["--config", config(text)])


def test_resume_takes_the_runs_own_configuration(config, tmp_path):
    config("size: 96\nmodel: vm_unet\n")
    a = parse(["--resume", str(tmp_path), "--workers", "2"])
    assert (a.size, a.model, a.workers, a.out, a.resume) == (96, "vm_unet", 2, tmp_path, True)


def test_help_names_every_field(capsys):
    with pytest.raises(SystemExit) as exit_:
        parse(["--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert [name for field in fields(TrainArguments) if (name := f"--{field.name}") not in text] == []
    assert "Passes over the training images" in text


def test_parsing_does_not_import_torch():
    code = "import sys; from dermseg.training.command import parse; parse([]); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_lists_are_one_bracketed_word():
    a = parse(["--scales", "[0.75, 1]", "--betas", "[0.5, 0.9]", "--loss_arguments.smooth", "0.1"])
    assert (a.scales, a.betas, a.loss_arguments) == ((0.75, 1), (0.5, 0.9), {"smooth": 0.1})


def test_paths_become_paths():
    a = parse(["--out", "runs/x", "--cache", "c", "--masks", "m"])
    assert (a.out, a.cache, a.masks) == (Path("runs/x"), Path("c"), Path("m"))


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        ([], False),
        (["--allow-leak"], True),
        (["--allow_leak", "true"], True),
        (["--allow-leak=false"], False),
    ],
)
def test_what_is_yes_or_no_stands_alone_for_yes(words, allowed):
    arguments = parse([*words, "--size", "64"])
    assert (arguments.allow_leak, arguments.size) == (allowed, 64)
