"""The running average: what it follows, what a run keeps of it, and that a resumed run goes on with it."""

import pytest
import torch
from rich.console import Console
from torch import nn

from dermseg.errors import ConfigError
from dermseg.training.averaging import RunningAverage
from dermseg.training.run import train


class _Given(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([value]))
        self.register_buffer("batches", torch.tensor(3))


def _averaged(decay: float, values: list[float]) -> float:
    from torch.optim.swa_utils import AveragedModel

    average = AveragedModel(_Given(values[0]), use_buffers=True, **RunningAverage(decay)._kwargs)
    for value in values:
        average.update_parameters(_Given(value))
    return float(average.module.weight)


def test_the_beginning_is_forgotten_fast_and_later_steps_leave_the_decay():
    # Step 0 copies; step n leaves min(decay, (1 + n) / (10 + n)).
    first = 2 / 11 * 1.0 + 9 / 11 * 2.0
    assert _averaged(0.9, [1.0, 2.0]) == pytest.approx(first)
    assert _averaged(0.1, [1.0, 2.0]) == pytest.approx(0.1 * 1.0 + 0.9 * 2.0)


def test_the_average_is_validated_and_kept_and_training_goes_on_from_the_weights(tiny, no_pictures):
    folder = train(tiny(weight_average=0.9), Console(quiet=True)).folder
    last = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    kept, current = last["state_dict"], last["current_model_state"]
    assert kept.keys() == current.keys()
    assert any(not torch.equal(kept[key], current[key]) for key in kept)


def test_a_resumed_run_has_the_average_of_the_unbroken_one(tiny_in, tmp_path, no_pictures):
    whole = train(tiny_in(tmp_path / "whole", weight_average=0.9), Console(quiet=True)).folder
    parts = tmp_path / "parts"
    budget = 1e-9
    assert not train(tiny_in(parts, weight_average=0.9, time_budget=budget), Console(quiet=True)).complete
    train(tiny_in(parts, weight_average=0.9, resume=True), Console(quiet=True))
    assert (whole / "metrics.csv").read_text() == (parts / "metrics.csv").read_text()
    ours, theirs = (
        torch.load(each / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for each in (whole, parts)
    )
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("decay", [0.0, 1.0, -1.0, float("nan")])
def test_an_impossible_decay_is_refused(tiny, decay):
    with pytest.raises(ConfigError, match="weight_average"):
        tiny(weight_average=decay)
