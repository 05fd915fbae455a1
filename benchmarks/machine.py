"""What a benchmark ran on, for the table of its results, and the memory of its process."""

import ctypes
import os
import platform
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

_STATUS = Path("/proc/self/status")


def describe_machine() -> str:
    """Processor, cores and versions."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = [line.split(":", 1) for line in information.read_text().splitlines() if ":" in line]
        facts = {key.strip(): value.strip() for key, value in lines}
        model = f"{facts.get('model name', model)} (model {facts.get('model', 'unknown')})"
    # Not by importing them: what a benchmark measures the memory of may do without.
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "numba"))
    return f"{model}, {os.cpu_count()} cores, {libraries}"


def resident_mib() -> float:
    """Resident memory of this process in MiB; where the system does not say, its peak."""
    return _status_mib("VmRSS")


def peak_mib() -> float:
    """Peak of the resident memory of this process in MiB, since `forget_peak`."""
    # Not ru_maxrss, which begins with that of the process that started this one.
    return _status_mib("VmHWM")


def forget_peak() -> None:
    """Start the record of the peak anew, where the system can, without memory that was freed."""
    # Not every C library has the function, not every system the file.
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _status_mib(field: str) -> float:
    if not _STATUS.exists():
        import resource  # Windows has none

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
            2**20 if sys.platform == "darwin" else 2**10
        )
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 2**10
