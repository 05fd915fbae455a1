"""What a cell costs, by a clock that the network moves."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from dermseg.benchmark import measure
from dermseg.benchmark.measure import images_per_second


@pytest.fixture
def network(monkeypatch):
    """Return a function that makes a network whose passes take so many seconds, the last for ever."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(measure, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    class Slow(nn.Module):
        preprocessing = SimpleNamespace(size=8)

        def __init__(self, *seconds):
            super().__init__()
            self.seconds, self.passes = list(seconds), 0

        def forward(self, images):
            assert images.shape == (1, 3, 8, 8)
            assert not self.training
            clock.now += self.seconds[min(self.passes, len(self.seconds) - 1)]
            self.passes += 1

    return Slow


def test_it_is_one_over_the_median_after_the_warm_up(network):
    made = network(1, 1, 3, 0.5)
    assert images_per_second(made, torch.device("cpu")) == 2
    assert made.passes == 12


def test_a_slow_network_is_timed_once(network):
    made = network(30)
    assert images_per_second(made, torch.device("cpu")) == pytest.approx(1 / 30)
    assert made.passes == 3
