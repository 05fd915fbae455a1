"""That a network exports: what ONNX Runtime makes of the file equals the network, at every size."""

import copy
import tempfile
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor

from dermseg.export.check import TOLERANCE
from dermseg.export.onnx import export_onnx, takes_any_size
from dermseg.models.base import SegmentationModel


def run_onnx(path: Path, images: Tensor) -> Tensor:
    """Logits of an exported file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])


def assert_exports(
    model: SegmentationModel, sizes: list[tuple[int, int]], batches: tuple[int, ...] = (1, 3), **options: Any
) -> None:
    """Write a network once and compare it at every size (height, width) and batch.

    A network whose images influence each other, and one of fixed size, is compared at the one size it takes.

    Args:
        model: Network in evaluation mode; weights far from zero make the comparison worth something.
        sizes: Heights and widths, in pixels.
        batches: Numbers of images.
        **options: As `export_onnx` takes them.
    """
    if options.get("fixed_size") or not takes_any_size(model):
        sizes, batches = [(model.preprocessing.size,) * 2], (1,)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(model, path, **options)
        for size in sizes:
            for batch in batches:
                images = torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(batch))
                with torch.no_grad():
                    expected = model(images)
                logits = run_onnx(path, images)
                assert logits.isfinite().all()
                # Rounding is relative to the sums that make up a logit, so networks of large logits get more.
                allowed = TOLERANCE * max(1.0, expected.abs().max().item())
                if (logits - expected).abs().max() > allowed:
                    # And where PyTorch itself rounds more, several times what it does.
                    allowed = max(allowed, 4 * rounding(model, images))
                torch.testing.assert_close(logits, expected, atol=allowed, rtol=0)


def rounding(model: SegmentationModel, images: Tensor) -> float:
    """Largest difference that computing in 32 bits instead of 64 makes to a logit."""
    with torch.no_grad():
        exact = copy.deepcopy(model).double()(images.double())
        return (exact - model(images)).abs().max().item()
