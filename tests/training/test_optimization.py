"""Which parameters decay, and how the learning rate moves."""

import pytest
from torch import nn

from dermseg.layers.vss import VSSBlock
from dermseg.training.optimization import learning_rate, parameter_groups


def test_decay_spares_biases_norms_and_the_scan():
    block = VSSBlock(8, 0.0, 2)
    decayed, spared = parameter_groups(block, 0.1)
    name_of = {id(parameter): name for name, parameter in block.named_parameters()}
    names = [{name_of[id(parameter)] for parameter in group["params"]} for group in (decayed, spared)]
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert names[0] | names[1] == set(name_of.values())
    assert {"ss2d.in_proj.weight", "ss2d.conv.weight", "ss2d.x_proj"} <= names[0]
    assert {"ss2d.A_log", "ss2d.D", "ss2d.step_bias", "ss2d.conv.bias", "norm.weight"} <= names[1]


def test_frozen_parameters_are_left_out():
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    assert [len(group["params"]) for group in parameter_groups(layer, 0.1)] == [1, 0]


def test_cosine_runs_from_the_highest_to_the_lowest():
    rates = [learning_rate(epoch, 11, 1.0, 0.1) for epoch in range(11)]
    assert rates[0] == 1.0
    assert rates[5] == pytest.approx(0.55)
    assert rates[10] == pytest.approx(0.1)
    assert rates == sorted(rates, reverse=True)


def test_warmup_rises_linearly_to_the_highest():
    rates = [learning_rate(epoch, 10, 1.0, 0.0, warmup=3) for epoch in range(10)]
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates[9] == pytest.approx(0.0)


def test_a_single_epoch_runs_at_the_highest():
    assert learning_rate(0, 1, 1.0, 0.1) == 1.0


def test_a_warmup_longer_than_the_run_leaves_it_its_last_epoch():
    assert learning_rate(0, 1, 1.0, 0.1, warmup=1) == 1.0
    assert [learning_rate(epoch, 3, 1.0, 0.1, warmup=9) for epoch in range(3)] == pytest.approx(
        [1 / 3, 2 / 3, 1.0]
    )
