"""One run on several processes: as torchrun starts them."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console

from dermseg.errors import ConfigError
from dermseg.models.weights import load_model
from dermseg.training.configuration import save_configuration
from dermseg.training.loaders import EpochShuffle, RepeatedBatches
from dermseg.training.parallel import World, joined
from dermseg.training.run import train


def as_of_two(monkeypatch):
    """Pretend to be the second of two processes."""
    names = {"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    for name, value in names.items():
        monkeypatch.setenv(name, value)


def test_a_process_that_torchrun_did_not_start_is_alone(monkeypatch, tiny):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with joined(tiny()) as world:
        assert world == World(0, 1, 1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch_size": 3}, "batch_size is 3, which 2 processes cannot divide"),
        ({"batch_size": 4, "mask_feedback": True}, "mask_feedback"),
    ],
)
def test_what_cannot_be_divided_is_refused(monkeypatch, tiny, fields, message):
    as_of_two(monkeypatch)
    with pytest.raises(ConfigError, match=message), joined(tiny(**fields)):
        pass


@pytest.mark.parametrize("times", [1, 2])
def test_the_parts_of_a_batch_are_the_batch(times):
    whole = list(RepeatedBatches(EpochShuffle(13, 0), 4, True, times))
    parts = [list(RepeatedBatches(EpochShuffle(13, 0), 4, True, times, (rank, 2))) for rank in (0, 1)]
    assert len(whole) == 3 * times
    for batch, first, second in zip(whole, *parts, strict=True):
        assert len(first) == len(second) == 2
        assert sorted(first + second) == sorted(batch)


def torchrun(arguments, *words: str) -> subprocess.CompletedProcess[str]:
    configuration = arguments.out.parent / "run.yaml"
    save_configuration(configuration, arguments)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [
        *launcher,
        "-m",
        "dermseg",
        "train",
        "--config",
        str(configuration),
        "--out",
        str(arguments.out),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run([*command, *words], capture_output=True, text=True, check=False, env=environment)


def curve(folder: Path) -> list[list[float]]:
    with (folder / "metrics.csv").open() as file:
        return [[float(value) for value in row] for row in list(csv.reader(file))[1:]]


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(tiny, tmp_path, tiny_in):
    # Nothing is drawn, so that both see the same images.
    fields = {
        "augment": False,
        "batch_size": 4,
        "epochs": 2,
        "model_arguments": {**tiny().model_arguments, "drop_path": 0.0},
    }
    train(tiny_in(tmp_path / "one", **fields), Console(quiet=True))
    done = torchrun(tiny_in(tmp_path / "two", **fields, time_budget=1e-9))
    assert done.returncode == 0, done.stderr
    assert len(curve(tmp_path / "two")) == 1
    assert done.stdout.count("epoch 1/2") == 1
    done = torchrun(tiny_in(tmp_path / "two", **fields), "--resume")
    assert done.returncode == 0, done.stderr
    for ours, theirs in zip(curve(tmp_path / "two"), curve(tmp_path / "one"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)
    one, two = (load_model(tmp_path / name / "model.safetensors").state_dict() for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-2, atol=1e-3)
    assert sorted(path.name for path in (tmp_path / "two" / "checkpoints").iterdir()) == [
        "best.ckpt",
        "last.ckpt",
    ]
