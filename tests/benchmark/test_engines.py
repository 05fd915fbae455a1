"""Every engine gives the same results, and survives what kills its processes."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict

import pytest
from rich.console import Console
from tiny_grid import MODELS, contents

from dermseg.benchmark.cell import Job
from dermseg.benchmark.engines import local
from dermseg.benchmark.engines.worker import ENDINGS
from dermseg.benchmark.run import create_engine, run_benchmark
from dermseg.benchmark.state import read_state
from dermseg.benchmark.status import survey
from dermseg.errors import ConfigError

HOLD = "import sys, time; print('ready', flush=True); time.sleep(600)"


class Seen:
    """Notes how jobs ended."""

    def __init__(self):
        self.outcomes = []
        self.ticks = 0

    def ended(self, outcome):
        self.outcomes.append(outcome)

    def tick(self):
        self.ticks += 1


def job(tmp_path, fold=1, **fields):
    return Job(str(tmp_path), "unet", fold, 0, **fields)


def run_with(monkeypatch, code, jobs, workers=2, **named):
    """Run jobs in processes that run this code instead of cells."""
    monkeypatch.setattr(local, "worker_command", lambda _: [sys.executable, "-c", code])
    seen = Seen()
    local.Processes(workers, **named).run(jobs, seen)
    return seen.outcomes


def test_a_process_that_starts_while_all_are_stopped_is_stopped_too(monkeypatch, tmp_path):
    engine, seen = local.Processes(1), Seen()

    def command(_):
        engine._stop()  # another thread's, between the question whether to start and the start
        return [sys.executable, "-c", "import time; time.sleep(30)"]

    monkeypatch.setattr(local, "worker_command", command)
    engine.run([job(tmp_path)], seen)
    assert [outcome.ending for outcome in seen.outcomes] == ["paused"]


@pytest.mark.parametrize(("status", "ending"), ENDINGS.items())
def test_the_exit_status_of_a_process_says_how_its_cell_ended(monkeypatch, tmp_path, status, ending):
    [outcome] = run_with(monkeypatch, f"raise SystemExit({status})", [job(tmp_path)])
    assert outcome.ending == ending


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.kill(os.getpid(), 9)", "signal SIGKILL; was there too little memory"),
        ("import os; os.kill(os.getpid(), 11)", "signal SIGSEGV"),
        ("1/0", "status 1"),
    ],
)
def test_a_process_that_dies_fails_its_own_cell_only(monkeypatch, tmp_path, code, reason):
    outcomes = run_with(monkeypatch, code, [job(tmp_path, fold) for fold in (1, 2, 3)])
    assert [outcome.ending for outcome in outcomes] == ["failed"] * 3
    assert reason in outcomes[0].error
    assert read_state(outcomes[0].job.folder).state == "failed"


def test_after_the_deadline_no_process_starts(monkeypatch, tmp_path):
    [outcome] = run_with(monkeypatch, "1/0", [job(tmp_path, deadline=time.time() - 1)])
    assert outcome.ending == "paused"


def test_processes_share_the_gpus(monkeypatch, tmp_path):
    code = "import os; print('gpu', os.environ['CUDA_VISIBLE_DEVICES'])"
    jobs = [job(tmp_path, fold) for fold in range(1, 5)]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    run_with(monkeypatch, code, jobs, gpus=2)
    used = {(each.folder / "log.txt").read_text().strip() for each in jobs}
    assert used <= {"gpu 3", "gpu 5"}
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    engine = local.Processes(3, gpus=2)
    assert [engine._slots.get()["CUDA_VISIBLE_DEVICES"] for _ in range(3)] == ["0", "1", "0"]


def test_ctrl_c_ends_the_processes_and_starts_no_other(monkeypatch, tmp_path):
    class Interrupted(Seen):
        def tick(self):
            if all(
                (each.folder / "log.txt").exists() and "ready" in (each.folder / "log.txt").read_text()
                for each in jobs[:2]
            ):
                raise KeyboardInterrupt

    jobs = [job(tmp_path, fold) for fold in (1, 2, 3)]
    monkeypatch.setattr(local, "worker_command", lambda _: [sys.executable, "-c", HOLD])
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        local.Processes(2).run(jobs, Interrupted())
    assert time.monotonic() - begin < 60
    assert not jobs[2].folder.exists()
    assert all("KeyboardInterrupt" in (each.folder / "log.txt").read_text() for each in jobs[:2])


def test_a_worker_ends_when_whoever_started_it_does(tmp_path):
    code = (
        "import threading, time; from dermseg.benchmark.engines import worker; "
        "threading.Thread(target=worker._end_with_parent, daemon=True).start(); "
        "print('up', flush=True); time.sleep(600)"
    )
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(timeout=60) == 1


@pytest.mark.parametrize(
    ("engine", "options", "message"),
    [("ray", {"gpus": 1}, "engine_options.gpus: the engine ray has address, num_cpus, num_gpus")],
)
def test_mistaken_options_of_an_engine_are_named(grid, tmp_path, engine, options, message):
    request = grid(tmp_path / "results", engine=engine, engine_options=options, workers=1)
    with pytest.raises(ConfigError, match=message):
        create_engine(request.arguments, None)


@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_an_engine_that_is_not_installed_says_how_to_install_it(monkeypatch, grid, tmp_path, engine, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"pip --python .* install {package}"):
        create_engine(grid(tmp_path, engine=engine, workers=1).arguments, None)


@pytest.mark.slow
def test_processes_give_the_results_of_one_process(grid, unbroken, tmp_path):
    found = run_benchmark(grid(tmp_path / "results", workers=2), Console(quiet=True))
    assert len(found.having("done")) == 4
    assert contents(tmp_path / "results") == contents(unbroken)


@pytest.mark.slow
def test_ray_gives_the_results_of_one_process(grid, unbroken, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install ray")
    found = run_benchmark(grid(tmp_path / "results", engine="ray", workers=2), Console(quiet=True))
    assert len(found.having("done")) == 4
    assert contents(tmp_path / "results") == contents(unbroken)


@pytest.mark.slow
def test_a_ray_worker_that_is_killed_goes_on_to_the_same_results(grid, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install ray")
    # Long enough that a kill hits the training.
    fields = {"models": MODELS[1:], "settings": {"epochs": 12}}
    run_benchmark(grid(tmp_path / "unbroken", **fields), Console(quiet=True))
    killed = []

    def kill():
        while len(killed) < 2:
            for path in (tmp_path / "killed").glob("cells/*/*/run/metrics.csv"):
                epochs, state = path.read_text().count("\n") - 1, read_state(path.parents[1])
                if 2 <= epochs < 10 and state.state == "running" and path not in killed:
                    os.kill(state.pid, signal.SIGKILL)
                    killed.append(path)
            time.sleep(0.01)

    watcher = threading.Thread(target=kill, daemon=True)
    watcher.start()
    found = run_benchmark(grid(tmp_path / "killed", engine="ray", workers=1, **fields), Console(quiet=True))
    watcher.join(timeout=10)
    assert len(killed) == 2
    assert len(found.having("done")) == 2
    assert contents(tmp_path / "killed") == contents(tmp_path / "unbroken")


@pytest.mark.slow
@pytest.mark.parametrize("cluster", ["local", "debug"])
def test_slurm_jobs_give_the_results_of_one_process(grid, unbroken, tmp_path, cluster):
    pytest.importorskip("submitit", reason="submitit is not installed: pip install submitit")
    options = {"cluster": cluster, "timeout_min": 30}
    request = grid(tmp_path / "results", engine="slurm", workers=2, engine_options=options)
    found = run_benchmark(request, Console(quiet=True))
    assert len(found.having("done")) == 4
    assert contents(tmp_path / "results") == contents(unbroken)


def kill_at_random(process, results, moments):
    """Kill a benchmark soon after a random number of its steps; return whether it was still running."""
    names = {"benchmark.json", "state.json", "metrics.csv", "best.ckpt", "per_image.csv", "cell.json"}
    steps, wanted = set(), moments.randint(1, 8)
    begin = time.time()
    while process.poll() is None and len(steps) < wanted:
        for path in results.rglob("*.*"):
            with contextlib.suppress(FileNotFoundError):
                if path.name in names and path.stat().st_mtime > begin:
                    steps.add((path, path.stat().st_mtime))
        time.sleep(0.01)
    try:
        process.wait(timeout=moments.uniform(0, 0.5))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


@pytest.mark.slow
def test_ten_kills_at_random_moments_leave_the_same_results(grid, unbroken, tmp_path):
    results = tmp_path / "results"
    values = json.dumps(asdict(grid(results, workers=1).arguments), default=str)
    code = (
        "import json, pathlib; from dermseg.benchmark.run import run_benchmark; "
        "from dermseg.benchmark.arguments import BenchmarkArguments, Request; "
        f"values = json.loads({values!r}); values['out'] = pathlib.Path(values['out']); "
        "run_benchmark(Request(BenchmarkArguments(**values), frozenset(values)))"
    )
    moments, kills, left = random.Random(0), 0, []
    while kills < 10:
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL) as process:
            killed = kill_at_random(process, results, moments)
        if killed:
            kills += 1
            left.append(len(survey(results).having("left")))
            continue
        # Done before the tenth kill: begin again.
        assert contents(results) == contents(unbroken)
        shutil.rmtree(results)
    assert len(set(left)) > 1
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)
    found = survey(results)
    assert len(found.having("done")) == 4
    assert contents(results) == contents(unbroken)
