"""Has the process keep the memory of freed tensors for the next ones.

With its defaults, the C library of Linux returns large blocks to the system at once, and the system hands
them out again page by page, cleared: tens of thousands of page faults in every forward pass of a network.
"""

import ctypes
import os
import platform

KEPT = 256 * 2**20
"""Bytes that may lie unused before some go back to the system."""
LARGEST = 32 * 2**20
"""Bytes of the largest block that is kept; more is refused by older versions of the library."""

# The numbers that mallopt(3) knows them by, and the variables with which users choose for themselves.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Set the limits above, unless the environment sets any; return whether it was done."""
    if platform.libc_ver()[0] != "glibc" or any(variable in os.environ for variable in _VARIABLES):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all([mallopt(_MMAP_THRESHOLD, LARGEST), mallopt(_TRIM_THRESHOLD, KEPT)])
