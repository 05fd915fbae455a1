"""How an attempt at a cell ends; its training is another's to test."""

import time
from types import SimpleNamespace

import pytest
from stored import write_benchmark

from dermseg.benchmark import cell as module
from dermseg.benchmark.cell import Job, run_cell
from dermseg.benchmark.state import read_state


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Return a function that makes an attempt at a cell, whose training never completes."""
    write_benchmark(tmp_path, {"unet": 0.8}, skip=[("unet", 1)])

    def train(arguments, _):
        given.append(arguments.time_budget)
        return SimpleNamespace(complete=False, history=SimpleNamespace(seconds=3.0, epochs=[1]))

    given = []
    monkeypatch.setattr(module, "train", train)
    monkeypatch.setattr(module, "score_images", lambda *_, **__: pytest.fail("it was tested"))
    return lambda fold=1, **fields: (Job(str(tmp_path), "unet", fold, 0, **fields), given)


def test_a_cell_whose_time_ends_in_training_is_not_tested(job):
    attempt, given = job(deadline=time.time() + 120)
    assert run_cell(attempt).ending == "paused"
    assert given == [pytest.approx(2, abs=0.5)]
    state = read_state(attempt.folder)
    assert (state.state, state.seconds) == ("running", 3.0)
    assert not (attempt.folder / "per_image.csv").exists()


def test_after_the_deadline_no_cell_begins(job):
    attempt, given = job(deadline=time.time() - 1)
    assert run_cell(attempt).ending == "paused"
    assert not given
    assert read_state(attempt.folder) is None


@pytest.mark.parametrize("keep", [False, True])
def test_of_a_cell_that_is_done_only_the_weights_may_go(job, keep):
    attempt, given = job(fold=2, keep_weights=keep)
    weights = attempt.folder / "run" / "model.safetensors"
    weights.touch()
    assert run_cell(attempt).ending == "done"
    assert weights.exists() is keep
    assert (attempt.folder / "per_image.csv").exists()
    assert not given
