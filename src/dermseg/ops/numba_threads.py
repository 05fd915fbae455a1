"""Runs a compiled kernel's tasks on as many threads as PyTorch uses.

Numba's own parallel loops end the process when two Python threads enter them at once (its `workqueue`
layer) or after a fork (its OpenMP layer). Kernels that give up the interpreter lock need neither: ordinary
threads run them, from any thread, and after a fork the child starts its own.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import torch

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

    def take_tasks() -> None:
        for task in pending:
            kernel(task, *arguments)

    threads = min(torch.get_num_threads(), tasks, work // _STEPS_WORTH_A_THREAD)
    others = [_threads().submit(take_tasks) for _ in range(1, threads)]
    try:
        take_tasks()
    finally:
        # Also when this thread failed: the others write into the arguments' memory. Those that did not come
        # to start, the pool being busy with other callers, have nothing left to do.
        started = [other for other in others if not other.cancel()]
        wait(started)
    for other in started:
        other.result()


_STEPS_WORTH_A_THREAD = 200_000  # about 0.1 ms; waking a thread takes about 0.05 ms


def _threads() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max_workers=os.cpu_count(), thread_name_prefix="dermseg-scan")
    return _pool


def _forget_pool() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)  # threads do not survive a fork
