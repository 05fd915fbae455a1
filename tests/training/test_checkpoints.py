"""Checkpoints that are whole, harmless and found again."""

import os
import re

import pytest
import torch

from dermseg.errors import CheckpointError
from dermseg.training.checkpoints import HISTORY, AtomicCheckpointIO, newest_checkpoint, read_checkpoint
from dermseg.training.history import Epoch, History


def save(path, epochs):
    rows = [Epoch(i, 1e-3, 1.0, 1.0, 0.5, 0.4) for i in range(1, epochs + 1)]
    AtomicCheckpointIO().save_checkpoint({HISTORY: History(rows).state(), "w": torch.ones(2)}, path)


def test_round_trip(tmp_path):
    save(tmp_path / "last.ckpt", 3)
    assert torch.equal(AtomicCheckpointIO().load_checkpoint(tmp_path / "last.ckpt")["w"], torch.ones(2))


def test_a_failed_write_leaves_the_earlier_file(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    save(path, 1)

    def fail(_, temporary):
        temporary.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(CheckpointError, match=r"last\.ckpt cannot be written \(disk full\); free space"):
        save(path, 2)
    assert len(read_checkpoint(path)[HISTORY]["epochs"]) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    torch.save({HISTORY: Hostile()}, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match=r"last\.ckpt is damaged or is no training checkpoint"):
        read_checkpoint(tmp_path / "last.ckpt")
    assert not (tmp_path / "owned").exists()


def test_no_checkpoint_yet(tmp_path):
    assert newest_checkpoint(tmp_path / "checkpoints") is None


@pytest.mark.parametrize(("best", "last", "expected"), [(2, 3, "last"), (3, 2, "best"), (3, 3, "last")])
def test_the_newer_one_is_taken(tmp_path, best, last, expected):
    save(tmp_path / "best.ckpt", best)
    save(tmp_path / "last.ckpt", last)
    path, history, notice = newest_checkpoint(tmp_path)
    assert (path.stem, notice) == (expected, "")
    assert len(history.epochs) == max(best, last)


@pytest.mark.parametrize("content", [b"", b"rubbish", None])
def test_a_damaged_last_falls_back_to_the_best(tmp_path, content):
    save(tmp_path / "best.ckpt", 2)
    save(tmp_path / "last.ckpt", 3)
    whole = (tmp_path / "last.ckpt").read_bytes()
    (tmp_path / "last.ckpt").write_bytes(whole[: len(whole) // 2] if content is None else content)
    newest = newest_checkpoint(tmp_path)
    assert newest.path.name == "best.ckpt"
    assert re.search(r"last\.ckpt is damaged.*after epoch 2, from best\.ckpt$", newest.notice)


def test_the_reason_of_damage_ends_with_a_word(tmp_path):
    save(tmp_path / "last.ckpt", 3)
    (tmp_path / "last.ckpt").write_bytes((tmp_path / "last.ckpt").read_bytes()[:500])
    with pytest.raises(CheckpointError, match=r"no training checkpoint \(.* \.\.\.\)$") as caught:
        read_checkpoint(tmp_path / "last.ckpt")
    # Of what torch says, with a remedy that is none of ours.
    with pytest.raises(RuntimeError) as whole:
        torch.load(tmp_path / "last.ckpt", weights_only=True)
    told = str(caught.value).split("(", 1)[1].removesuffix(" ...)")
    assert str(whole.value).startswith(f"{told} ")


def test_all_damaged_is_an_error_with_a_remedy(tmp_path):
    (tmp_path / "last.ckpt").write_bytes(b"rubbish")
    with pytest.raises(CheckpointError, match=r"last\.ckpt is damaged.*Delete the checkpoints"):
        newest_checkpoint(tmp_path)
