"""The best epoch is there before a run goes on."""

import re

import pytest
import torch
from torch import nn

from dermseg.errors import CheckpointError
from dermseg.training.best import secure_best
from dermseg.training.checkpoints import HISTORY, AtomicCheckpointIO, read_checkpoint
from dermseg.training.history import Epoch, History


def curve(*dice):
    return History([Epoch(number, 1e-3, 1.0, 1.0, value, 0.4) for number, value in enumerate(dice, start=1)])


def save(path, history):
    weights = {"weight": torch.full((1, 1), float(len(history.epochs)))}
    AtomicCheckpointIO().save_checkpoint({HISTORY: history.state(), "state_dict": weights}, path)


def secure(newest, history):
    return secure_best(newest, history, nn.Linear(1, 1, bias=False))


def test_a_whole_one_is_left(tmp_path):
    save(tmp_path / "best.ckpt", curve(0.5, 0.7))
    save(tmp_path / "last.ckpt", curve(0.5, 0.7, 0.6))
    before = (tmp_path / "best.ckpt").read_bytes()
    assert secure(tmp_path / "last.ckpt", curve(0.5, 0.7, 0.6)) == ""
    assert (tmp_path / "best.ckpt").read_bytes() == before


@pytest.mark.parametrize("content", [b"rubbish", None])
def test_the_last_takes_its_place_where_that_is_the_best(tmp_path, content):
    save(tmp_path / "last.ckpt", curve(0.5, 0.7))
    if content is not None:
        (tmp_path / "best.ckpt").write_bytes(content)
    notice = secure(tmp_path / "last.ckpt", curve(0.5, 0.7))
    assert re.search(r"best\.ckpt (is damaged|does not exist).*; last\.ckpt, .*, takes its place$", notice)
    assert read_checkpoint(tmp_path / "best.ckpt")["state_dict"]["weight"] == 2


@pytest.mark.parametrize("content", [b"rubbish", None])
def test_lost_weights_are_an_error_with_a_remedy(tmp_path, content):
    save(tmp_path / "last.ckpt", curve(0.7, 0.5, 0.6))
    if content is not None:
        (tmp_path / "best.ckpt").write_bytes(content)
    with pytest.raises(
        CheckpointError,
        match=r"best\.ckpt .* weights of epoch 1, the best of 3; restore it, or delete .* again",
    ):
        secure(tmp_path / "last.ckpt", curve(0.7, 0.5, 0.6))


def test_one_of_another_epoch_is_not_the_best(tmp_path):
    for name in ("best", "last"):
        save(tmp_path / f"{name}.ckpt", curve(0.7, 0.5, 0.6))
    with pytest.raises(CheckpointError, match=r"best\.ckpt is of epoch 3, and no other file has .* epoch 1"):
        secure(tmp_path / "last.ckpt", curve(0.7, 0.5, 0.6))


@pytest.mark.parametrize(
    ("dice", "weights", "message"),
    [
        ((0.5, 0.7), {"weight": torch.ones(2, 1)}, "does not hold the weights of this run's network"),
        ((0.5, 0.7), {"other": torch.ones(1, 1)}, "does not hold the weights of this run's network"),
        ((0.6, 0.7), {"weight": torch.ones(1, 1)}, "is of another run"),
    ],
)
def test_one_of_another_run_is_not_the_best(tmp_path, dice, weights, message):
    save(tmp_path / "last.ckpt", curve(0.5, 0.7, 0.6))
    other = {HISTORY: curve(*dice).state(), "state_dict": weights}
    AtomicCheckpointIO().save_checkpoint(other, tmp_path / "best.ckpt")
    with pytest.raises(CheckpointError, match=rf"best\.ckpt {message}, and no other file has .* epoch 2"):
        secure(tmp_path / "last.ckpt", curve(0.5, 0.7, 0.6))
    save(tmp_path / "last.ckpt", curve(0.5, 0.7))
    assert f"best.ckpt {message}; last.ckpt" in secure(tmp_path / "last.ckpt", curve(0.5, 0.7))
    assert secure(tmp_path / "last.ckpt", curve(0.5, 0.7)) == ""
