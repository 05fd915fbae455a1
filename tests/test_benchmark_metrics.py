"""The benchmark of the metrics draws the same usable masks everywhere, and its peer gives the same values."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    import metrics

    monkeypatch.setattr(metrics, "SIZES", {(60, 45): 1, (80, 64): 1})
    yield metrics
    for name in ("metrics", "machine"):
        sys.modules.pop(name, None)


def test_a_pair_is_drawn_by_its_number(benchmark):
    shapes = set()
    for number in range(40):
        prediction, target = benchmark.draw_pair(number)
        assert prediction.shape == target.shape
        assert prediction.dtype == target.dtype == bool
        assert prediction.any()
        assert target.any()
        assert not np.array_equal(prediction, target)
        again = benchmark.draw_pair(number)
        assert np.array_equal(again[0], prediction)
        assert np.array_equal(again[1], target)
        shapes.add(target.shape)
    assert shapes == {(45, 60), (64, 80)}


def test_blocks_cover_the_same_pairs(benchmark):
    found = benchmark.measure("ours", 3, 6)
    run = benchmark.ours()
    assert found["scores"] == [run(*benchmark.draw_pair(number)) for number in (3, 4, 5)]
    assert len(found["scores"][0]) == len(benchmark.NAMES)
    assert found["seconds"] > 0


def test_the_peer_gives_the_same_values(benchmark):
    pytest.importorskip("monai")
    ours, peer = benchmark.ours(), benchmark.monai()
    for number in range(10):
        pair = benchmark.draw_pair(number)
        assert ours(*pair) == pytest.approx(peer(*pair), rel=benchmark.PRECISION)


def test_without_the_peer_it_says_what_to_install(benchmark, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "monai" else find(name))
    monkeypatch.setattr(sys, "argv", ["metrics.py"])
    with pytest.raises(SystemExit, match="pip install monai"):
        benchmark.main()
