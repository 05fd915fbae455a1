"""Work on pairs in parallel: in order, within a budget of pixels."""

from threading import Barrier, Lock
from time import sleep

import numpy as np
import pytest
from PIL import Image

from dermseg.data import decoding
from dermseg.data.decoding import in_order
from dermseg.data.pairs import Pair, Problem
from dermseg.data.quality import examination
from dermseg.data.quality.examination import examine
from dermseg.data.readers import read_collection


class Watch:
    """Knows how many were inside a block at once."""

    def __init__(self):
        self.inside = self.most = 0
        self.lock = Lock()

    def __enter__(self):
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        sleep(0.005)

    def __exit__(self, *_):
        with self.lock:
            self.inside -= 1


@pytest.fixture
def pairs(tmp_path):
    """Return twelve pairs of 80 pixels."""
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(12):
        name = f"{number:02}.png"
        Image.fromarray(np.full((8, 10, 3), number, np.uint8)).save(tmp_path / "images" / name)
        Image.fromarray(np.eye(8, 10, dtype=bool)).save(tmp_path / "masks" / name)
    return read_collection(tmp_path).pairs


def test_results_come_in_order(pairs):
    def work(pair: Pair, _):
        sleep(0.002 * (12 - int(pair.identifier)))
        return pair.identifier

    assert list(in_order(pairs, work, 6)) == [pair.identifier for pair in pairs]


def test_pairs_are_worked_on_at_once(pairs):
    together = Barrier(3, timeout=60)

    def work(pair: Pair, budget):
        with budget.hold(pair.image):
            together.wait()
        return pair

    assert list(in_order(pairs, work, 3)) == list(pairs)


@pytest.mark.parametrize(("pixels", "most"), [(80, 1), (79, 1), (170, 2)])
def test_no_more_pixels_are_held_than_the_budget_has(pairs, monkeypatch, pixels, most):
    monkeypatch.setattr(decoding, "PIXELS_AT_ONCE", pixels)
    watch = Watch()

    def work(pair: Pair, budget):
        with budget.hold(pair.image), watch:
            return pair

    assert list(in_order(pairs, work, 4)) == list(pairs)
    assert 0 < watch.most <= most


def test_what_has_not_begun_when_one_fails_does_not_begin(pairs):
    begun = []

    def work(pair: Pair, _):
        begun.append(pair)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(in_order(pairs * 20, work, 2))
    assert len(begun) <= 8


def test_a_data_set_is_examined_within_the_budget(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "PIXELS_AT_ONCE", 1)
    watch = Watch()

    def look(pair: Pair):
        with watch:
            return Problem(pair.image, "was looked at")

    monkeypatch.setattr(examination, "_look", look)
    found = examine(read_collection(tmp_path))
    assert [problem.path for problem in found.problems] == [pair.image for pair in pairs]
    assert watch.most == 1
