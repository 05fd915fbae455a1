"""How the learning rate moves."""

import math

import pytest
import torch

from dermseg.training.arguments import TrainArguments
from dermseg.training.schedule import learning_rate


def rates(epochs, highest=1.0, lowest=0.0, losses=(), **fields):
    a = TrainArguments(epochs=epochs, learning_rate=highest, minimum_learning_rate=lowest, **fields)
    return [learning_rate(a, epoch, losses[:epoch]) for epoch in range(epochs)]


def test_cosine_runs_from_the_highest_to_the_lowest():
    falling = rates(11, lowest=0.1)
    assert falling[0] == 1.0
    assert falling[5] == pytest.approx(0.55)
    assert falling[10] == pytest.approx(0.1)
    assert falling == sorted(falling, reverse=True)


def test_a_cosine_shorter_than_the_run_rises_again_as_pytorchs():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3)
    peer = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=1e-5)
    expected = []
    for _ in range(150):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        peer.step()
    assert rates(150, 1e-3, 1e-5, schedule_epochs=50) == pytest.approx(expected)
    assert [expected[epoch] for epoch in (50, 100, 149)] == pytest.approx([1e-5, 1e-3, 1.1e-5], rel=0.01)


def test_warmup_rises_linearly_to_the_highest():
    rising = rates(10, warmup_epochs=3)
    assert rising[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rising[9] == pytest.approx(0.0)


def test_a_single_epoch_runs_at_the_highest():
    assert rates(1, lowest=0.1) == [1.0]


def test_a_warmup_longer_than_the_run_leaves_it_its_last_epoch():
    assert rates(1, lowest=0.1, warmup_epochs=1) == [1.0]
    assert rates(3, warmup_epochs=9) == pytest.approx([1 / 3, 2 / 3, 1.0])


def test_constant():
    assert rates(3, schedule="constant") == [1.0, 1.0, 1.0]


def test_linear_holds_and_then_falls_over_the_last_epochs():
    assert rates(5, schedule="linear", schedule_epochs=2) == pytest.approx([1, 1, 1, 1, 0.5])
    assert rates(4, schedule="linear") == pytest.approx([1, 0.75, 0.5, 0.25])
    assert rates(2, schedule="linear", schedule_epochs=70) == pytest.approx([1, 0.5])


def test_poly_is_a_power_of_what_is_left():
    assert rates(4, schedule="poly", schedule_power=0.9) == pytest.approx(
        [(1 - epoch / 4) ** 0.9 for epoch in range(4)]
    )


def test_step_drops_every_so_many_epochs_and_not_below_the_lowest():
    assert rates(7, schedule="step", schedule_epochs=2, lowest=0.01) == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01, 0.01]
    )


def test_plateau_is_pytorchs_reduce_on_plateau():
    generator = torch.Generator().manual_seed(0)
    losses = [
        math.exp(-epoch / 9) + value
        for epoch, value in enumerate(torch.rand(60, generator=generator).tolist())
    ]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=5)
    expected = []
    for loss in losses:
        expected.append(optimizer.param_groups[0]["lr"])
        peer.step(loss)
    found = rates(60, losses=losses, schedule="plateau", schedule_epochs=5, schedule_factor=0.5)
    assert found == pytest.approx(expected)
    assert found[-1] < 0.2
    plateau = {"schedule": "plateau", "schedule_epochs": 5, "schedule_factor": 0.5}
    assert rates(60, losses=losses, lowest=0.3, **plateau) == [max(rate, 0.3) for rate in found]
    # Losses of the warm-up, which no later epoch reaches, do not count.
    assert rates(62, losses=[0.0, 0.0, *losses], warmup_epochs=2, **plateau)[2:] == found
