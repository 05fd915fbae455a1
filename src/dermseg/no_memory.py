"""Lack of memory, under the several names that Python, PyTorch and the system have for it."""

_SAID = ("can't allocate memory", "cannot allocate memory", "out of memory")
"""By PyTorch on a CPU, by the system, and by PyTorch on a GPU; in lower case."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that there was not enough memory.

    By its words, since PyTorch has no class for it on a CPU, and that for a GPU would be a heavy import.
    """
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, (RuntimeError, OSError)) and any(said in str(error).lower() for said in _SAID)
