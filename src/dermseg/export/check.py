"""An exported file beside the network it came from: the same image through both, values and times."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from dermseg.errors import CheckpointError
from dermseg.export.onnx import INPUT, OUTPUT
from dermseg.models.base import SegmentationModel

TOLERANCE = 1e-4
"""Largest difference of two logits, in units of the largest logit or 1, whichever is more."""
REPETITIONS = 3


@dataclass(frozen=True)
class Comparison:
    """What ONNX Runtime made of an exported file."""

    difference: float
    """Largest absolute difference of two logits."""
    largest: float
    """Largest absolute logit of PyTorch."""
    onnxruntime_seconds: float
    """Time for one image at the network's own size, median of three."""
    torch_seconds: float
    """The same in PyTorch, with as many threads."""


def compare(model: SegmentationModel, path: Path) -> Comparison:
    """Run one random image at the network's own size through an exported file and through the network.

    Args:
        model: Network on the CPU, in evaluation mode.
        path: What `dermseg.export.onnx.export_onnx` made of it.

    Raises:
        CheckpointError: If the logits differ by more than `TOLERANCE`.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # its warnings are for those who make exporters
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    size = model.preprocessing.size
    images = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    feed = {INPUT: images.numpy()}
    with torch.no_grad():
        expected = model(images)
        logits = torch.from_numpy(session.run([OUTPUT], feed)[0])
        largest = expected.abs().max().item()
        difference = (logits - expected).abs().max().item()
        if not difference <= TOLERANCE * max(1.0, largest):  # a NaN fails, too
            raise CheckpointError(
                f"ONNX Runtime {onnxruntime.__version__} differs from PyTorch by {difference:.1e} in logits "
                f"up to {largest:.1f}; nothing was written. Another form or opset may do; please report it"
            )
        return Comparison(
            difference,
            largest,
            _seconds(lambda: session.run([OUTPUT], feed)),
            _seconds(lambda: model(images)),
        )


def _seconds(run: Callable[[], object]) -> float:
    times = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return median(times)
