"""After an epoch: whether there is time for another one."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from dermseg.training import record
from dermseg.training.arguments import TrainArguments
from dermseg.training.history import Epoch, History
from dermseg.training.record import EpochRecord


@pytest.fixture
def clock(monkeypatch):
    """Stand in for the time, in seconds."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(record, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def epochs_until_the_end(clock, history, seconds):
    """Count the epochs of so many seconds that a run trains before its budget of two minutes ends it."""
    events = EpochRecord(Path("run"), TrainArguments(epochs=9, time_budget=2), history)
    trainer = SimpleNamespace(
        strategy=SimpleNamespace(broadcast=lambda value: value),
        is_global_zero=False,
        callback_metrics=dict.fromkeys(("train_loss", "val_loss", "val_dice", "val_iou"), 0.5),
        optimizers=[SimpleNamespace(param_groups=[{"lr": 0.1}])],
        save_checkpoint=lambda _: None,
        should_stop=False,
        current_epoch=len(history.epochs),
    )
    events.on_train_start(trainer, None)
    before = len(history.epochs)
    while not trainer.should_stop:
        clock.now += seconds
        events.on_train_epoch_end(trainer, None)
        trainer.current_epoch += 1
    assert events.out_of_time
    return len(history.epochs) - before


@pytest.mark.parametrize(("seconds", "epochs"), [(30, 4), (31, 3), (61, 1), (121, 1)])
def test_no_epoch_begins_that_would_exceed_the_minutes(clock, seconds, epochs):
    assert epochs_until_the_end(clock, History(), seconds) == epochs


def test_every_sitting_has_the_whole_budget(clock):
    history = History([Epoch(number, 0.1, 0.5, 0.5, 0.5, 0.5) for number in (1, 2)], seconds=60.0)
    assert epochs_until_the_end(clock, history, 30) == 4
    assert history.seconds == 180
