"""Runs resumed from checkpoints that are damaged or of another run: named before anything is trained."""

import io
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from dermseg.errors import CheckpointError
from dermseg.training.module import SegmentationTask
from dermseg.training.record import EpochRecord
from dermseg.training.run import train


def report(arguments):
    """Train; return the result and what was printed."""
    text = io.StringIO()
    result = train(arguments, Console(file=text, width=200))
    return result, text.getvalue()


def test_damaged_checkpoints_are_named_before_anything_is_trained(tiny, no_pictures, monkeypatch, recwarn):
    measured = EpochRecord._row
    monkeypatch.setattr(  # the first epoch is the best
        EpochRecord,
        "_row",
        lambda record, trainer: replace(row := measured(record, trainer), val_dice=1 / row.epoch),
    )
    report(tiny(epochs=4, time_budget=1e-9))
    best = tiny().out / "checkpoints" / "best.ckpt"
    best.write_bytes(b"rubbish")
    _, text = report(tiny(epochs=4, time_budget=1e-9, resume=True))
    assert f"warning: {best} is damaged" in text
    assert "last.ckpt, which is of the best epoch too, takes its place\n" in text
    assert [str(warning.message) for warning in recwarn] == []
    best.write_bytes(b"rubbish")
    (tiny().out / "summary.json").unlink()
    with pytest.raises(
        CheckpointError, match=r"best\.ckpt is damaged .*the best of 2; restore it, or delete"
    ):
        report(tiny(epochs=4, resume=True))
    assert (tiny().out / "metrics.csv").read_text().count("\n") == 3


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c: c["state_dict"].popitem(), "does not hold the weights of this run's network"),
        (
            lambda c: c["state_dict"].update(dict.fromkeys(c["state_dict"], torch.ones(7))),
            "does not hold the weights of this run's network",
        ),
        (lambda c: c.update(state_dict=[1]), "does not hold the weights of this run's network"),
        (lambda c: c.pop("optimizer_states"), "cannot be continued from .*"),
        (lambda c: c["optimizer_states"][0]["param_groups"].pop(), "cannot be continued from .*groups.*"),
        (lambda c: c.pop("pytorch-lightning_version"), "cannot be continued from .*"),
    ],
    ids=["lacks a weight", "other shapes", "no weights", "no optimizer", "groups", "no version"],
)
def test_a_checkpoint_of_another_run_is_named_before_anything_is_trained(
    tiny, no_pictures, monkeypatch, spoil, message
):
    report(tiny(epochs=2, time_budget=1e-9))
    last = tiny().out / "checkpoints" / "last.ckpt"
    spoil(checkpoint := torch.load(last, weights_only=True))
    torch.save(checkpoint, last)
    with monkeypatch.context() as patch:
        patch.setattr(SegmentationTask, "training_step", lambda *_: pytest.fail("trained"))
        with pytest.raises(
            CheckpointError, match=rf"last\.ckpt {message}; restore it, or delete it: the run"
        ):
            report(tiny(epochs=2, resume=True))
    last.unlink()
    result, _ = report(tiny(epochs=2, resume=True))
    assert result.complete


def test_errors_of_training_are_not_blamed_on_the_checkpoint(tiny, no_pictures, monkeypatch):
    report(tiny(epochs=2, time_budget=1e-9))

    def fail(*_):
        raise ValueError("of a layer")

    monkeypatch.setattr(SegmentationTask, "training_step", fail)
    with pytest.raises(ValueError, match="of a layer"):
        report(tiny(epochs=2, resume=True))
