"""The peers that benchmarks compare with compute the same thing as we do."""

import sys
from pathlib import Path

import pytest
import torch

from dermseg.ops.selective_scan import selective_scan
from dermseg.ops.ss2d import ss2d_scan

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import peers

    yield peers
    sys.modules.pop("peers")


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def test_the_plain_scan_is_the_selective_scan(peers):
    batch, length, channels, states = 2, 7, 3, 4
    arguments = (
        draw(batch, length, channels),
        draw(batch, length, channels),
        -draw(channels, states).exp(),
        draw(batch, length, states),
        draw(batch, length, states),
        draw(channels),
        draw(channels),
    )
    torch.testing.assert_close(peers.plain_selective_scan(*arguments), selective_scan(*arguments))


def test_the_plain_scan_of_a_map_is_ss2d(peers):
    batch, height, width, channels, states = 2, 3, 5, 4, 2
    arguments = (
        draw(batch, height, width, channels),
        draw(batch, height, width, 4, channels),
        -draw(4, channels, states).exp(),
        draw(batch, height, width, 4, states),
        draw(batch, height, width, 4, states),
        draw(4, channels),
        draw(4, channels),
    )
    torch.testing.assert_close(peers.plain_ss2d_scan(*arguments), ss2d_scan(*arguments))
