"""A network as one ONNX file of standard operators.

`torch.export` records the network with our operators as single nodes. When the nodes are translated to ONNX,
the scan takes one of two forms (`dermseg.ops.ss2d.export`), and the sLSTM that of `dermseg.ops.slstm.export`.
"""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.export import Dim, ExportedProgram

import dermseg
from dermseg.errors import ConfigError
from dermseg.files import replacing
from dermseg.installing import installing
from dermseg.models.base import SegmentationModel
from dermseg.models.ensemble import members_of
from dermseg.ops.backend import VARIABLE, wanted

if TYPE_CHECKING:
    import onnx_ir

Form = Literal["scan", "chunked"]
"""How scans are written, see `dermseg.ops.ss2d.export`."""

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
OPSETS = range(18, 24)
INPUT, OUTPUT = "images", "logits"
NOTICE = (
    "A research tool, not a medical device. The program is Apache-2.0; on the weights rest the terms of the "
    "images they were trained on."
)


def require_packages() -> None:
    """Check that the packages of the extra `onnx` are installed.

    Raises:
        ConfigError: If one is not.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"{', '.join(missing)} not installed; remedy: {installing(*missing)}")


def export_onnx(
    model: SegmentationModel,
    path: Path | str,
    *,
    opset: int = 20,
    form: Form = "scan",
    fixed_size: bool = False,
    check: Callable[[Path], None] | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> None:
    """Write a network to one ONNX file, completely or not at all.

    The file maps `images` (batch, 3, height, width), standardised as the preprocessing in its metadata says,
    to `logits` (batch, 1, height, width). Batch, height and width are free where `takes_any_size(model)`;
    otherwise, and where `fixed_size` is set, the batch is 1 and the sides are those of the preprocessing.

    Args:
        model: Network on the CPU in evaluation mode, in float32.
        path: Destination, ending in `.onnx`.
        opset: Version of the ONNX operators.
        form: How scans are written.
        fixed_size: Fix batch, height and width; some accelerators want it.
        check: Called with the file before it takes its name; what it raises leaves no file.
        progress: Called with what is being done.

    Raises:
        ConfigError: If an argument is impossible, the network cannot be exported, or a package is missing.
    """
    path = Path(path)
    _check(model, path, opset, form)
    require_packages()
    import onnx_ir as ir

    progress("recording the network")
    program = trace(model, fixed=fixed_size or not takes_any_size(model))
    progress("translating it to ONNX")
    translated = torch.onnx.export(
        program,
        dynamo=True,
        opset_version=opset,
        input_names=[INPUT],
        output_names=[OUTPUT],
        custom_translation_table=translations(form),
        optimize=False,  # see _simplify
        verbose=False,
    )
    if translated is None:
        raise AssertionError("with dynamo=True the exporter returns a program")
    network = translated.model
    _simplify(network)
    _name_axes(network)
    network.producer_name, network.producer_version = "dermseg", dermseg.__version__
    network.metadata_props.update(describe(model))
    with replacing(path) as temporary:
        ir.save(network, temporary)
        if check is not None:
            check(temporary)


def _simplify(network: "onnx_ir.Model") -> None:
    """Compute what is constant, and drop what is said twice or not used.

    The exporter's own optimiser also rewrites patterns of nodes, in a time that grows with the square of
    their number: minutes for a network of many scans. ONNX Runtime does the like when it loads a file.
    """
    from onnx_ir.passes import common
    from onnxscript import optimizer

    optimizer.fold_constants(network)
    common.CommonSubexpressionEliminationPass()(network)
    common.RemoveUnusedNodesPass()(network)
    common.ClearMetadataAndDocStringPass()(network)  # every node carries the lines of source it came from


def takes_any_size(model: SegmentationModel) -> bool:
    """Whether an exported file of the network takes any batch, height and width."""
    return model.exports_any_size and model.batch_independent


def trace(model: SegmentationModel, fixed: bool = False) -> ExportedProgram:
    """Record a network with `torch.export`; our operators stay whole.

    Args:
        model: Network in evaluation mode.
        fixed: Fix the batch to 1 and the sides to those of the preprocessing; otherwise all three are free.
    """
    size = model.preprocessing.size
    # 1 is special to torch.export: an axis of that length, here or in the coarsest map, would be fixed at 1.
    free_size = max(size, 2 * model.stride)
    images = torch.zeros(1, 3, size, size) if fixed else torch.zeros(2, 3, free_size, free_size - 1)
    shapes = None if fixed else ({0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO},)
    with torch.no_grad():  # else the scans would keep states for a backward pass
        return torch.export.export(model, (images,), dynamic_shapes=shapes)


def describe(model: SegmentationModel) -> dict[str, str]:
    """What a program that runs the file must know, as text by key."""
    return {
        "dermseg.model": model.name,
        "dermseg.arguments": json.dumps(model.arguments),
        "dermseg.members": json.dumps(len(members_of(model))),
        "dermseg.preprocessing": json.dumps(asdict(model.preprocessing)),
        "dermseg.threshold": json.dumps(model.threshold),
        # Whether the weights ask for the mean over mirror images, which the file leaves to its user.
        "dermseg.mirrors": json.dumps(model.mirrors),
        "dermseg.version": dermseg.__version__,
        "dermseg.notice": NOTICE,
    }


def _check(model: SegmentationModel, path: Path, opset: int, form: str) -> None:
    if path.suffix != ".onnx":
        raise ConfigError(f"{path}: let the name end in .onnx")
    if opset not in OPSETS:
        raise ConfigError(f"opset must be from {OPSETS[0]} to {OPSETS[-1]}, got {opset}")
    if form not in ("scan", "chunked"):
        raise ConfigError(f"form={form!r} is unknown; choose one of: scan, chunked")
    if not model.exports_to_onnx:
        raise ConfigError(f"{model.name} cannot be written as ONNX; `dermseg models` lists those that can")
    if wanted() not in (None, "numba"):
        raise ConfigError(f"an export records the CPU operators; unset {VARIABLE}")
    tensors = list(model.state_dict().values())
    types = {tensor.dtype for tensor in tensors if tensor.is_floating_point()}
    if model.training or types != {torch.float32} or any(tensor.is_cuda for tensor in tensors):
        raise ConfigError(
            "a network is exported on the CPU, in evaluation mode, in float32: "
            "give model.cpu().float().eval()"
        )


def translations(form: Form) -> dict[Callable[..., Any], Callable[..., Any]]:
    """Functions that add the ONNX nodes of operators, by operator; for `torch.onnx.export`.

    Args:
        form: How scans are written.
    """
    from onnxscript import opset18 as op

    import dermseg.ops.slstm.cpu
    import dermseg.ops.ss2d.cpu  # noqa: F401 (these register the operators)
    from dermseg.export.pooling import adaptive_average
    from dermseg.ops.slstm.export import slstm_scan
    from dermseg.ops.ss2d.export import Value, directional_scan

    scan, slstm = torch.ops.dermseg.directional_scan.default, torch.ops.dermseg.slstm_forward.default

    # Results beyond those that inference uses are for a backward pass: unused, so any value stands for them.
    # So is `keep`, which is named because the arguments are handed over by the operator's names.
    def add_scan(
        x: Value,
        delta: Value,
        A: Value,
        B: Value,
        C: Value,
        D: Value,
        delta_bias: Value,
        keep: bool,  # noqa: ARG001
    ) -> tuple[Value, Value]:
        y = directional_scan(x, delta, A, B, C, D, delta_bias, form)
        return y, op.Identity(y)

    def add_slstm(
        preactivations: Value,
        R: Value,
        c: Value,
        n: Value,
        m: Value,
        h: Value,
        keep: bool,  # noqa: ARG001
    ) -> tuple[Value, ...]:
        hidden, *state = slstm_scan(preactivations, R, c, n, m, h)
        return hidden, *state, op.Identity(hidden), op.Identity(hidden)

    pooling = torch.ops.aten.adaptive_avg_pool2d.default, torch.ops.aten._adaptive_avg_pool2d.default
    return {scan: add_scan, slstm: add_slstm, **dict.fromkeys(pooling, adaptive_average)}


def _name_axes(network: "onnx_ir.Model") -> None:
    """Call the free axes batch, height and width."""
    for value in (*network.graph.inputs, *network.graph.outputs):
        shape = value.shape
        if shape is None:
            raise AssertionError("the exporter states the shape of inputs and outputs")
        for axis, name in ((0, "batch"), (2, "height"), (3, "width")):
            if not isinstance(shape[axis], int):
                shape[axis] = name
