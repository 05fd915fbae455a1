"""The command `dermseg export`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from dermseg.export.check import Comparison
    from dermseg.models.base import SegmentationModel


def export(
    weights: Path,
    out: Path = Path("model.onnx"),
    opset: int = 20,
    form: Literal["scan", "chunked"] = "scan",
    fixed_size: bool = False,
) -> int:
    """Write a network as one ONNX file of standard operators, and compare ONNX Runtime with PyTorch.

    Args:
        weights: A `model.safetensors` written by `dermseg train`, or weights that ship: default or tiny.
        out: The file to write; it takes images standardised as its metadata says, of any size where the
            network's form allows that.
        opset: Version of the ONNX operators, 18 to 23.
        form: How scans are written: a loop over steps, or chunks side by side, for machines of many cores.
        fixed_size: Fix the batch to 1 and the image to the network's own size.
    """
    from dermseg.export.onnx import export_onnx, require_packages, takes_any_size

    require_packages()  # before anything that takes long
    from rich.console import Console

    from dermseg.console import say
    from dermseg.export.check import compare
    from dermseg.models.weights import load_model

    console = Console()
    model = load_model(weights)
    found: list[Comparison] = []
    with console.status("recording the network") as status:

        def check(path: Path) -> None:
            status.update("comparing ONNX Runtime with PyTorch")
            found.append(compare(model, path))

        export_onnx(
            model,
            out,
            opset=opset,
            form=form,
            fixed_size=fixed_size,
            check=check,
            progress=status.update,
        )
    free = "batch 1, " if fixed_size or not takes_any_size(model) else "any batch and size; compared at "
    for line in _report(model, out, f"opset {opset}, {free}", found[0]):
        say(console, line)
    return 0


def _report(model: "SegmentationModel", out: Path, form: str, comparison: "Comparison") -> Iterator[str]:
    """Say what was written, and how it compares."""
    size = model.preprocessing.size
    yield f"{out}: {model.name}, {out.stat().st_size / 1e6:.1f} MB, {form}{size} x {size}"
    yield (
        f"largest difference of a logit: {comparison.difference:.1e} (logits up to {comparison.largest:.1f})"
    )
    yield (
        f"one image: ONNX Runtime {1e3 * comparison.onnxruntime_seconds:.0f} ms, "
        f"PyTorch {1e3 * comparison.torch_seconds:.0f} ms"
    )
    if model.mirrors:
        yield (
            "By these weights dermseg predict averages an image and its mirror images; the file takes one "
            "image at a time, as predict --no-tta does"
        )
