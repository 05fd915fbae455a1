"""How tasks are handed to threads, with ordinary functions for kernels."""

import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from dermseg.ops import numba_threads

MUCH = 10**9  # work for as many threads as there are


@pytest.fixture
def pool(monkeypatch):
    """Let three threads work, whatever the machine, two of them of a pool."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    with ThreadPoolExecutor(2, "pool") as pool:
        monkeypatch.setattr(numba_threads, "_openmp", None)
        monkeypatch.setattr(numba_threads, "_pool", pool)
        yield pool
    torch.set_num_threads(before)


@pytest.fixture(params=["pool", "openmp"])
def threads(request, pool, monkeypatch):
    """Let three threads work, of a pool or PyTorch's own."""
    if request.param == "openmp":
        entry = numba_threads._entry_of_openmp()
        if entry is None:
            pytest.skip("PyTorch's OpenMP runtime has no such entry here")
        monkeypatch.setattr(numba_threads, "_openmp", entry)
        monkeypatch.setattr(numba_threads, "_pool", None)


def test_every_task_runs_once(threads):
    done = []
    numba_threads.run(lambda task, result: result.append(task), 100, MUCH, done)
    assert sorted(done) == list(range(100))


def test_as_many_threads_as_pytorch_uses_work_at_once(threads):
    together = threading.Barrier(3, timeout=10)
    used = set()

    def kernel(_task):
        together.wait()
        used.add(threading.get_ident())

    numba_threads.run(kernel, 3, MUCH)
    assert len(used) == 3


def test_threads_without_a_task_do_nothing(threads):
    done = []
    numba_threads.run(done.append, 2, MUCH)
    assert sorted(done) == [0, 1]


def test_little_work_stays_on_the_calling_thread(threads):
    used = set()
    numba_threads.run(lambda _: used.add(threading.get_ident()), 100, 1000)
    assert used == {threading.get_ident()}


@pytest.mark.parametrize("caller_fails", [True, False])
def test_a_failure_is_raised_when_no_thread_writes_any_more(threads, caller_fails):
    together = threading.Barrier(3, timeout=10)
    caller = threading.get_ident()
    writing = []

    def kernel(task):
        together.wait()  # one task per thread
        if (threading.get_ident() == caller) == caller_fails:
            raise RuntimeError("task failed")
        writing.append(task)
        time.sleep(0.05)
        writing.remove(task)

    with pytest.raises(RuntimeError, match="task failed"):
        numba_threads.run(kernel, 3, MUCH)
    assert writing == []


def test_threads_of_python_run_kernels_at_once(threads):
    done = [[] for _ in range(4)]
    with ThreadPoolExecutor(4) as callers:
        list(callers.map(lambda result: numba_threads.run(result.append, 50, MUCH), done))
    assert [sorted(result) for result in done] == [list(range(50))] * 4


def test_a_caller_does_not_wait_for_the_turn_of_others(pool):
    release = threading.Event()
    busy = [pool.submit(release.wait, 10) for _ in range(2)]
    done = []
    numba_threads.run(done.append, 5, MUCH)
    assert done == [0, 1, 2, 3, 4]
    assert not any(other.done() for other in busy)
    release.set()


def use_in_child():
    done = []
    numba_threads.run(done.append, 5, MUCH)
    os._exit(0 if sorted(done) == [0, 1, 2, 3, 4] else 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_starts_its_own_threads(threads):
    together = threading.Barrier(3, timeout=10)
    numba_threads.run(lambda _: together.wait(), 3, MUCH)  # the threads exist
    child = multiprocessing.get_context("fork").Process(target=use_in_child)
    child.start()
    child.join(30)
    assert child.exitcode == 0
