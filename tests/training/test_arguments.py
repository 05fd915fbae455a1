"""What a run may be asked for."""

import pytest

from dermseg.data.layouts import LAYOUTS
from dermseg.errors import ConfigError
from dermseg.training.arguments import TrainArguments
from dermseg.training.command import parse


def test_defaults_are_the_papers():
    a = TrainArguments()
    assert (a.model, a.size, a.batch_size, a.epochs, a.learning_rate) == ("xlstm_vmunet", 256, 8, 150, 1e-3)
    assert (a.optimizer, a.schedule, a.loss, a.recipe) == ("adamw", "cosine", "bce_dice", "common")
    assert a.gradient_clip is None
    assert a.patience is None


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_the_readers_can_be_trained_on(layout):
    assert parse(["--data", "somewhere", "--layout", layout]).layout == layout


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": 0}, "size is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"epochs": -1}, "epochs is -1"),
        ({"learning_rate": 0.0}, "learning_rate is 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"gradient_clip": 0.0}, "gradient_clip is 0"),
        ({"patience": 0}, "patience is 0"),
        ({"time_budget": -3.0}, "time_budget is -3"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"workers": -1}, "workers is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"validation": 0.0}, "validation is 0"),
        ({"validation": 0.5, "test": 0.5}, "leave no image for training"),
        ({"learning_rate": 1e-6}, "minimum_learning_rate 1e-05 is above"),
        ({"resume": True}, "resume needs the run folder"),
        ({"betas": (0.9, 1.0)}, r"betas is \(0.9, 1.0\)"),
        ({"momentum": -0.1}, "momentum is -0.1"),
        ({"scales": ()}, r"scales is \(\)"),
        ({"scales": (1.0, 0.0)}, r"scales is \(1.0, 0.0\)"),
        ({"schedule": "step"}, "schedule step needs schedule_epochs"),
        ({"schedule": "plateau"}, "schedule plateau needs schedule_epochs"),
        ({"schedule_epochs": 0}, "schedule_epochs is 0"),
        ({"schedule_factor": 0.0}, "schedule_factor is 0"),
        ({"schedule_power": float("inf")}, "schedule_power is inf"),
        ({"seed": 2**63}, "seed is .*at most"),
        ({"threads": 10**12}, "threads is 1000000000000; it must be at most 1024"),
        ({"workers": 10**5}, "workers is 100000; it must be at most 1024"),
        ({"scales": (1.0, 1e9)}, "beyond 8192 pixels"),
    ],
)
def test_impossible_values_are_named(fields, message):
    with pytest.raises(ConfigError, match=message):
        TrainArguments(**fields)
