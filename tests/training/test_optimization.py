"""The optimizer of a run, and which parameters it decays."""

import pytest
import torch
from torch import nn

from dermseg.layers.vss import VSSBlock
from dermseg.training.arguments import TrainArguments
from dermseg.training.optimization import create_optimizer, parameter_groups


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
    [everything] = create_optimizer(layer, TrainArguments(decay_all=True)).param_groups
    assert [parameter.ndim for parameter in everything["params"]] == [2]


def test_decay_all_spares_nothing():
    block = VSSBlock(8, 0.0, 2)
    [group] = create_optimizer(block, TrainArguments(decay_all=True, weight_decay=0.3)).param_groups
    assert len(group["params"]) == len(list(block.parameters()))
    assert group["weight_decay"] == 0.3


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_one_step_is_that_of_the_optimizer_by_its_equations(name):
    layer = nn.Linear(1, 1, bias=False).double()
    a = TrainArguments(optimizer=name, learning_rate=0.1, weight_decay=0.5, betas=(0.5, 0.75), momentum=0.25)
    optimizer = create_optimizer(layer, a)
    expected = weight = layer.weight.item()
    first = second = 0.0
    for step, gradient in enumerate((2.0, -3.0), start=1):
        layer.weight.grad = torch.tensor([[gradient]], dtype=torch.float64)
        optimizer.step()
        if name == "adamw":
            expected -= 0.1 * 0.5 * expected
        else:
            gradient += 0.5 * expected
        if name == "sgd":
            first = gradient if step == 1 else 0.25 * first + gradient
            expected -= 0.1 * first
        else:
            first = 0.5 * first + 0.5 * gradient
            second = 0.75 * second + 0.25 * gradient**2
            expected -= 0.1 * first / (1 - 0.5**step) / ((second / (1 - 0.75**step)) ** 0.5 + 1e-8)
        assert layer.weight.item() == pytest.approx(expected)
    assert expected != weight
