"""A line of notice when kernels are compiled: a first run would otherwise stand still without a word."""

import logging
from typing import TypeVar

from numba.core.event import Event, Listener, register

Kernel = TypeVar("Kernel")

_log = logging.getLogger("dermseg.ops")


def announced(kernel: Kernel) -> Kernel:
    """Have the first compilation of any such kernel in this process logged; return the kernel.

    A kernel whose machine code is read from numba's disk cache is not compiled, and says nothing.
    """
    _notice.kernels.append(kernel)
    return kernel


class _Notice(Listener):
    def __init__(self) -> None:
        self.kernels: list[object] = []
        self.given = False

    def on_start(self, event: Event) -> None:
        # The process may compile functions that are not ours.
        if not self.given and any(event.data["dispatcher"] is kernel for kernel in self.kernels):
            self.given = True
            _log.warning("compiling the CPU kernels for this machine: about half a minute, once")

    def on_end(self, event: Event) -> None:
        pass


_notice = _Notice()
register("numba:compile", _notice)  # type: ignore[no-untyped-call]
