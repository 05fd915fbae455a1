"""Runs a compiled kernel's tasks on as many threads as PyTorch uses: on PyTorch's own, where they are known.

PyTorch computes on the threads of an OpenMP runtime, which for milliseconds after each operator keep a core
busy looking for more to do. Other threads would share the cores with them, and a scan between two operators
would take up to twice as long. So a kernel joins the same team, through the entry that compilers call at the
start of a parallel region (`GOMP_parallel`, which GCC's and, on Linux, LLVM's runtimes have).

Where there is no such entry, and in a forked child, which has lost the team, ordinary threads do the work.
Numba's own parallel loops are no alternative: they end the process when two Python threads enter them at once
(its `workqueue` layer) or after a fork (its OpenMP layer).
"""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import torch

_MEMBER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_STEPS_WORTH_A_THREAD = 200_000  # about 0.1 ms; waking a thread takes about 0.05 ms


def _entry_of_openmp() -> Callable[..., Any] | None:
    """Find `GOMP_parallel(function, data, threads, flags)` among the libraries that PyTorch has loaded."""
    try:
        return ctypes.CDLL(torch._C.__file__).GOMP_parallel
    except (AttributeError, OSError):  # of Windows, and of macOS
        return None


_openmp = _entry_of_openmp()
_pool: ThreadPoolExecutor | None = None


def run(kernel: Callable[..., None], tasks: int, work: int, *arguments: object) -> None:
    """Call `kernel(task, *arguments)` for every task.

    Args:
        kernel: Compiled function; its tasks must not depend on each other.
        tasks: Number of tasks.
        work: Elementary steps of all tasks together; little work stays on the calling thread.
        arguments: Passed on.
    """
    # Threads take the next task when they are done with one, so that a thread which other programs keep
    # waiting holds up nobody. Taking from a `range` iterator is atomic.
    pending = iter(range(tasks))
    failures: list[BaseException] = []

    def take_tasks(_data: object = None) -> None:
        try:
            for task in pending:
                kernel(task, *arguments)
        except BaseException as failure:  # raised below, when no thread writes into the arguments any more
            failures.append(failure)

    team = torch.get_num_threads()
    threads = min(team, tasks, work // _STEPS_WORTH_A_THREAD)
    if threads <= 1:
        take_tasks()
    elif _openmp is not None:
        # Always the whole team: a smaller one would end the other threads, and PyTorch start them anew.
        _openmp(_MEMBER(take_tasks), None, ctypes.c_uint(team), ctypes.c_uint(0))
    else:
        _share(take_tasks, threads)
    if failures:
        raise failures[0]


def _share(take_tasks: Callable[[], None], threads: int) -> None:
    """Run a function on this thread and, meanwhile, on others of a pool."""
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max_workers=os.cpu_count(), thread_name_prefix="dermseg-scan")
    others = [_pool.submit(take_tasks) for _ in range(1, threads)]
    take_tasks()
    # Those that did not come to start, the pool being busy with other callers, have nothing left to do.
    wait([other for other in others if not other.cancel()])


def _forget_threads() -> None:
    global _openmp, _pool
    _openmp = _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)  # threads do not survive a fork
