"""The curve of a run."""

import csv
import io

import pytest

from dermseg.training.history import Epoch, History


def history(*dice, losses=None):
    losses = losses or [1.0] * len(dice)
    rows = zip(dice, losses, strict=True)
    return History([Epoch(i, 1e-3, 0.1 + 0.2, loss, d, d / 2) for i, (d, loss) in enumerate(rows, start=1)])


def test_best_is_the_highest_dice_then_the_lowest_loss():
    assert history(0.1, 0.5, 0.3).best.epoch == 2
    assert history(0.0, 0.0, 0.0, losses=[3.0, 1.0, 2.0]).best.epoch == 2
    assert history(0.5, 0.5).best.epoch == 1


def test_complete_after_all_epochs_or_out_of_patience():
    assert not History().is_complete(3, patience=1)
    assert not history(0.5, 0.4).is_complete(3, patience=None)
    assert history(0.5, 0.4, 0.3).is_complete(3, patience=None)
    assert history(0.5, 0.4).is_complete(9, patience=1)
    assert not history(0.5, 0.6).is_complete(9, patience=1)


def test_csv_keeps_every_digit():
    (row,) = csv.DictReader(io.StringIO(history(1 / 3).csv()))
    assert float(row["val_dice"]) == 1 / 3
    assert float(row["train_loss"]) == 0.1 + 0.2
    assert row["epoch"] == "1"


def test_state_round_trip():
    original = history(0.1, 0.2)
    assert History.from_state(original.state()) == original


@pytest.mark.parametrize(("name", "value"), [("val_dice", "0.5"), ("epoch", None), ("seconds", "1")])
def test_what_is_no_number_is_no_curve(name, value):
    state = history(0.1, 0.2).state()
    (state if name == "seconds" else state["epochs"][1])[name] = value
    with pytest.raises(TypeError, match="no number"):
        History.from_state(state)
