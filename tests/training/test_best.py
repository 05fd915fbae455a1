"""The best epoch is there before a run goes on."""

import re

import pytest
import torch

from dermseg.errors import CheckpointError
from dermseg.training.best import secure_best
from dermseg.training.checkpoints import HISTORY, AtomicCheckpointIO, read_checkpoint
from dermseg.training.history import Epoch, History


def curve(*dice):
    return History([Epoch(number, 1e-3, 1.0, 1.0, value, 0.4) for number, value in enumerate(dice, start=1)])


def save(path, history):
    AtomicCheckpointIO().save_checkpoint(
        {HISTORY: history.state(), "w": torch.ones(len(history.epochs))}, path
    )


def test_a_whole_one_is_left(tmp_path):
    save(tmp_path / "best.ckpt", curve(0.5, 0.7))
    save(tmp_path / "last.ckpt", curve(0.5, 0.7, 0.6))
    before = (tmp_path / "best.ckpt").read_bytes()
    assert secure_best(tmp_path / "last.ckpt", curve(0.5, 0.7, 0.6)) == ""
    assert (tmp_path / "best.ckpt").read_bytes() == before


@pytest.mark.parametrize("content", [b"rubbish", None])
def test_the_last_takes_its_place_where_that_is_the_best(tmp_path, content):
    save(tmp_path / "last.ckpt", curve(0.5, 0.7))
    if content is not None:
        (tmp_path / "best.ckpt").write_bytes(content)
    notice = secure_best(tmp_path / "last.ckpt", curve(0.5, 0.7))
    assert re.search(r"best\.ckpt (is damaged|does not exist).*; last\.ckpt, .*, takes its place$", notice)
    assert len(read_checkpoint(tmp_path / "best.ckpt")["w"]) == 2


@pytest.mark.parametrize("content", [b"rubbish", None])
def test_lost_weights_are_an_error_with_a_remedy(tmp_path, content):
    save(tmp_path / "last.ckpt", curve(0.7, 0.5, 0.6))
    if content is not None:
        (tmp_path / "best.ckpt").write_bytes(content)
    with pytest.raises(
        CheckpointError,
        match=r"best\.ckpt .* weights of epoch 1, the best of 3; restore it, or delete .* again",
    ):
        secure_best(tmp_path / "last.ckpt", curve(0.7, 0.5, 0.6))


def test_one_of_another_epoch_is_not_the_best(tmp_path):
    for name in ("best", "last"):
        save(tmp_path / f"{name}.ckpt", curve(0.7, 0.5, 0.6))
    with pytest.raises(CheckpointError, match=r"best\.ckpt is of epoch 3, and no other file has .* epoch 1"):
        secure_best(tmp_path / "last.ckpt", curve(0.7, 0.5, 0.6))
