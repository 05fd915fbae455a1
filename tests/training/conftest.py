"""A drawn data set and a network that trains in a second."""

from functools import partial
from pathlib import Path

import pytest

from dermseg.data.synthetic import synthetic_collection
from dermseg.training.arguments import TrainArguments

TINY = {"width": 8, "depths": [1, 1, 1, 1], "depths_decoder": [1, 1, 1, 1], "state": 2}


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    synthetic_collection(folder, 12, 32, 0)
    return folder


@pytest.fixture(scope="session")
def tiny_in(drawn, tmp_path_factory):
    """Return a function that makes arguments of a tiny run in a folder; it takes fields to override."""

    def arguments(out: Path, **fields) -> TrainArguments:
        base = {
            "model": "vm_unet",
            "model_arguments": TINY,
            "data": str(drawn),
            "validation": 0.25,
            "size": 32,
            "batch_size": 3,
            "epochs": 2,
            "learning_rate": 0.01,
            "threads": 1,
            "device": "cpu",
            "out": out,
            "cache": tmp_path_factory.getbasetemp() / "cache",
        }
        return TrainArguments(**(base | fields))

    return arguments


@pytest.fixture
def tiny(tiny_in, tmp_path):
    """Return a function that makes arguments of a tiny run in the test's own folder."""
    return partial(tiny_in, tmp_path / "run")


@pytest.fixture
def no_pictures(monkeypatch):
    """Leave out what takes most of the time of a tiny run, and is tested elsewhere."""
    for name in ("draw_curves", "_draw_samples"):
        monkeypatch.setattr(f"dermseg.training.results.{name}", lambda path, *_, **__: path.touch())
