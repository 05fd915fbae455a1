"""What a cell costs on the machine it runs on: predictions per second and peak memory."""

import statistics
import sys
import time
from contextlib import suppress
from pathlib import Path

import torch

from dermseg.models.base import SegmentationModel

WARM_UP, PASSES = 2, 10
SECONDS = 20.0
"""No more passes are timed after this long; a slow network needs fewer."""


def images_per_second(network: SegmentationModel, device: torch.device) -> float:
    """Time the network on one image at its training size, in evaluation mode, reading and scoring left out.

    Args:
        network: On the device.
        device: Where it computes.

    Returns:
        One over the median time of up to `PASSES` passes at batch 1, the first `WARM_UP` not counted.
    """
    network.eval()
    size = network.preprocessing.size
    image = torch.zeros(1, 3, size, size, device=device)
    times: list[float] = []
    begin = time.perf_counter()
    with torch.inference_mode():
        for _ in range(WARM_UP + PASSES):
            start = time.perf_counter()
            network(image)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - start)
            if len(times) > WARM_UP and time.perf_counter() - begin > SECONDS:
                break
    return 1 / statistics.median(times[WARM_UP:])


def reset_peak_memory(device: torch.device) -> None:
    """Let `peak_memory_bytes` count from now on, where the system can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")


def peak_memory_bytes(device: torch.device) -> int | None:
    """Return the most memory held at any time since the last reset; None where the system does not tell.

    On a GPU, that of all tensors there; else the resident memory of the whole process, Python and libraries
    included. Where the system cannot reset the count, it is the most in the whole life of the process.
    """
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    with suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    with suppress(ImportError):
        import resource

        # In bytes on macOS, in KiB elsewhere.
        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None
