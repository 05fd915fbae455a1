"""How far a benchmark is, and how long the rest will take."""

import io
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from dermseg.benchmark.state import State, claimed, read_state, write_state
from dermseg.benchmark.status import print_status, survey
from dermseg.cli import main
from dermseg.errors import DataError


@pytest.fixture
def results(unbroken, tmp_path):
    """Return a benchmark of four cells, each of two epochs, of which nothing has begun."""
    shutil.copytree(unbroken, tmp_path / "results")
    shutil.rmtree(tmp_path / "results" / "cells")
    return tmp_path / "results"


def put(results, label, fold, epochs, **state):
    """Pretend that a cell is this far."""
    folder = results / "cells" / label / f"fold-{fold}-seed-0"
    (folder / "run").mkdir(parents=True)
    (folder / "run" / "metrics.csv").write_text("epoch\n" + "1\n" * epochs)
    write_state(folder, State(**state))
    if state["state"] == "done":
        (folder / "per_image.csv").touch()
    return folder


def printed(results):
    text = io.StringIO()
    print_status(survey(results), Console(file=text, width=200))
    return text.getvalue()


def test_nothing_begun(results):
    found = survey(results)
    assert len(found.having("left")) == 4
    assert (found.share, found.seconds_left()) == (0, None)
    assert "0 of 4 cells are done, 4 left; the time it takes is not known" in printed(results)


def test_the_time_left_comes_from_finished_cells_and_epochs(results):
    put(results, "unet", 1, 2, state="done", seconds=100.0)
    assert survey(results).seconds_left() == pytest.approx(300)
    # Half of a cell of the other system took 30 seconds.
    folder = put(results, "vm_unet+tiny", 1, 1, state="running", started="2026-01-01T00:00:00+00:00")
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    ended = (begun + timedelta(seconds=30)).timestamp()
    os.utime(folder / "run" / "metrics.csv", (ended, ended))
    found = survey(results)
    assert found.seconds_left() == pytest.approx(100 + 30 + 60)
    assert found.share == pytest.approx(3 / 8)
    assert "about 0:03:10 to go" in printed(results)


def test_a_process_that_was_killed_leaves_a_cell_that_is_left(results):
    folder = put(results, "unet", 1, 1, state="running", pid=1, host="gone")
    assert len(survey(results).having("left")) == 4
    with claimed(folder):
        assert [status.cell.name for status in survey(results).having("running")] == ["unet/fold-1-seed-0"]
        assert "running: unet/fold-1-seed-0, epoch 1 of 2, process 1 on gone" in printed(results)


@pytest.mark.parametrize(
    "damage",
    [
        {"state": "odd"},
        {"state": ["done"]},
        {"seconds": "abc"},
        {"seconds": float("nan")},
        {"seconds": 1e300},
        {"started": 5},
        {"epochs_before": None},
        {"pid": "1"},
        {"host": None},
    ],
)
def test_a_damaged_state_is_none(results, damage):
    folder = put(results, "unet", 1, 1, state="running", started="2026-01-01T00:00:00+00:00")
    path = folder / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    assert read_state(folder) is None
    assert "0 of 4 cells are done, 4 left" in printed(results)


def test_a_state_of_another_version_may_have_more(results):
    folder = put(results, "unet", 1, 1, state="done", seconds=100.0)
    path = folder / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": 100, "mood": "good"}))
    assert read_state(folder) == State("done", seconds=100)


def test_failed_cells_are_named_with_the_reason(results):
    put(results, "unet", 1, 0, state="failed", error="out of [bold]memory")
    assert "failed: unet/fold-1-seed-0: out of [bold]memory" in printed(results)


def test_the_command_says_what_failed(results, capsys):
    assert main(["benchmark", "status", str(results)]) == 0
    put(results, "unet", 1, 0, state="failed", error="broken")
    assert main(["benchmark", "status", str(results)]) == 1
    assert "broken" in capsys.readouterr().out


def test_the_command_needs_no_torch(results):
    code = (
        "import sys; from dermseg.cli import main; "
        f"main(['benchmark', 'status', {str(results)!r}]); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 of 4 cells are done" in done.stdout


def test_a_folder_without_benchmark_says_how_to_begin_one(tmp_path):
    with pytest.raises(DataError, match="benchmark run --models"):
        survey(tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"folds": 1_000_000_000}, "more than 100,000 cells"),
        ({"folds": 13}, "13 folds of 12 images"),
        ({"folds": 1}, "1 folds of 12 images"),
        ({"folds": float("inf")}, "infinity"),
        ({"seeds": 1_000_000_000}, "more than 100,000 cells"),
        ({"seeds": 0}, "below 1"),
    ],
)
def test_a_plan_that_cannot_be_is_damaged(results, damage, message):
    path = results / "benchmark.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises(DataError, match=rf"benchmark\.json is damaged .*{message}.*; restore it"):
        survey(results)


def test_a_plan_of_another_version_is_refused(results):
    path = results / "benchmark.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))
    with pytest.raises(DataError, match="version 99"):
        survey(results)
