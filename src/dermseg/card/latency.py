"""How long one image takes, in PyTorch and in ONNX Runtime."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import torch

from dermseg.inference.mirrors import mean_of_mirrors
from dermseg.models.base import SegmentationModel
from dermseg.training.environment import processor

REPETITIONS = 20
SIZE = 256
"""Side of the image, in pixels."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Time of the network alone for one image, without reading and resizing it."""

    runtime: str
    size: int
    threads: int
    milliseconds: float
    """Median."""
    fastest: float
    """Least, which other programs on the machine disturb least."""
    processor: str = field(default_factory=processor)


def measure_latency(model: SegmentationModel, threads: int = 2) -> list[Latency]:
    """Measure PyTorch, and ONNX Runtime where it is installed, on one image of random values.

    Args:
        model: On the CPU, in evaluation mode. Where it averages mirror images by default, that is measured,
            too.
        threads: Of either runtime. PyTorch's are set for this process.
    """
    torch.set_num_threads(threads)
    images = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = [Latency("PyTorch", SIZE, threads, *_times(lambda: model(images)))]
        if model.mirrors:
            times = _times(lambda: mean_of_mirrors(model, images))
            found.append(Latency("PyTorch, mean over mirror images", SIZE, threads, *times))
    try:
        import onnxruntime as ort
    except ImportError:
        return found
    from dermseg.export.onnx import INPUT, export_onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(model, path)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        feed: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = {INPUT: images.numpy()}
        found.append(Latency("ONNX Runtime", SIZE, threads, *_times(lambda: session.run(None, feed))))
    return found


def _times(call: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds: median and least, after two calls that compile and warm up."""
    seconds = []
    for _ in range(REPETITIONS + 2):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    timed = seconds[2:]
    return 1e3 * median(timed), 1e3 * min(timed)
