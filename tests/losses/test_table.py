"""Losses by name."""

from typing import get_args, get_type_hints

import pytest
import torch

from dermseg.errors import ConfigError
from dermseg.losses.table import LOSSES, create_loss
from dermseg.training.arguments import TrainArguments


def test_the_names_are_those_the_command_takes():
    assert set(get_args(get_type_hints(TrainArguments)["loss"])) == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_least_where_the_prediction_is_right(name):
    target = torch.zeros(2, 1, 40, 40)
    target[:, :, 10:30, 5:25] = 1
    loss = create_loss(name, {})
    right, wrong = (loss(20 * sign * (2 * target - 1), target).item() for sign in (1, -1))
    assert 0 <= right < 0.01 < wrong


def test_arguments_reach_the_loss():
    logits, target = torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    half, whole = (create_loss("bce_dice", {"bce_weight": w, "dice_weight": 0.0}) for w in (0.5, 1.0))
    assert half(logits, target).item() == pytest.approx(whole(logits, target).item() / 2)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("hinge", {}, "loss is 'hinge'; choose one of bce_dice, structure"),
        ("bce_dice", {"smoth": 1.0}, "loss_arguments do not fit the loss bce_dice.*smoth"),
    ],
)
def test_mistakes_are_named(name, arguments, message):
    with pytest.raises(ConfigError, match=message):
        create_loss(name, arguments)
