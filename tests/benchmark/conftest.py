"""A grid that runs in seconds: drawn images of 32 pixels, two tiny networks, two folds."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from tiny_grid import MODELS

from dermseg.benchmark.arguments import BenchmarkArguments, Request
from dermseg.benchmark.run import run_benchmark
from dermseg.data.synthetic import synthetic_collection


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "lesions"
    synthetic_collection(folder, 12, 32, 0)
    return folder


@pytest.fixture(scope="session")
def grid(drawn, tmp_path_factory):
    """Return a function that asks for the tiny grid in a folder; it takes fields to override."""

    def ask(out: Path, **fields) -> Request:
        settings = {
            "size": 32,
            "batch_size": 3,
            "epochs": 2,
            "learning_rate": 0.01,
            "validation": 0.25,
            "threads": 1,
            "device": "cpu",
            "cache": str(tmp_path_factory.getbasetemp() / "cache"),
        }
        values = {"models": MODELS, "data": str(drawn), "folds": 2, "workers": 0, **fields}
        values["settings"] = settings | fields.get("settings", {})
        return Request(BenchmarkArguments(out=out, **values), frozenset({"out", *values}))

    return ask


@pytest.fixture(scope="session")
def unbroken(grid, tmp_path_factory):
    """Return the folder of a tiny benchmark that nothing interrupted."""
    out = tmp_path_factory.mktemp("unbroken") / "results"
    with pytest.MonkeyPatch.context() as patch:
        leave_out_pictures(patch)
        run_benchmark(grid(out), Console(quiet=True))
    return out


@pytest.fixture
def no_pictures(monkeypatch):
    leave_out_pictures(monkeypatch)


@pytest.fixture
def run(grid, no_pictures, tmp_path):
    """Return a function that runs the grid in the test's folder and returns the survey and the output."""

    def run(**fields):
        text = io.StringIO()
        found = run_benchmark(grid(tmp_path / "results", **fields), Console(file=text, width=200))
        return found, text.getvalue()

    return run


def leave_out_pictures(patch):
    """Leave out what takes most of the time of a tiny training, and is tested elsewhere."""
    for name in ("draw_curves", "_draw_samples"):
        patch.setattr(f"dermseg.training.results.{name}", lambda *_, **__: None)
