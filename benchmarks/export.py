"""Time ONNX Runtime on exported scans, in both forms, and on exported networks, beside PyTorch, in one run.

    python benchmarks/export.py

Scans: SS2D with N = 16 at VM-UNet's four stages at 256 px, at those of a decoder a third as wide, and at the
finest of both at 512 px.
Networks, at 256 px, batch 1: XLSTM-VMUNet; the same with an EfficientNet-Lite0 encoder and a decoder of width
32; and the default weights', whose decoder is narrower, with half the states.
Everything is written at a fixed size and runs in one process on two threads, in turns with PyTorch, so that
other work on the machine meets both; times are the least of the repetitions. Writes
`results/benchmarks/export.csv`.
"""

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from dermseg.export.onnx import Form, export_onnx, translations
from dermseg.models.base import SegmentationModel
from dermseg.models.registry import create_model
from dermseg.models.weights import load_model
from dermseg.ops.ss2d import ss2d_scan
from dermseg.ops.ss2d.export_loops import softplus
from machine import describe_machine
from operators import draw_inputs
from rows import write_rows

THREADS = 2
SIZE = 256
N = 16
# Side and channels of the scanned map.
SCANS = [(128, 192), (64, 192), (32, 384), (16, 768), (8, 1536)]
SCANS += [(side, channels // 3) for side, channels in SCANS]
NETWORKS: dict[str, Callable[[], SegmentationModel]] = {
    "xlstm_vmunet": lambda: create_model("xlstm_vmunet"),
    "xlstm_vmunet light": lambda: create_model("xlstm_vmunet", encoder="tf_efficientnet_lite0", width=32),
    "default weights": lambda: load_model("default"),
}


class Scan(nn.Module):
    """The operator alone."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """Run it."""
        return ss2d_scan(*inputs)


def write_scan(inputs: tuple[Tensor, ...], path: Path, form: Form) -> None:
    """Write the operator alone to ONNX."""
    program = torch.export.export(Scan(), inputs)
    written = torch.onnx.export(
        program, dynamo=True, opset_version=20, custom_translation_table=translations(form), verbose=False
    )
    assert written is not None
    written.save(path)


def session_of(path: Path) -> onnxruntime.InferenceSession:
    """Load a file on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def race(runs: dict[str, Callable[[], object]], repetitions: int) -> dict[str, float]:
    """Least milliseconds of every run, in turns, after one round that warms up."""
    least = dict.fromkeys(runs, float("inf"))
    for round_ in range(1 + repetitions):
        for name, run in runs.items():
            for _ in range(2):  # the first meets threads of the other that still wait for work
                start = time.perf_counter()
                run()
                if round_:
                    least[name] = min(least[name], 1e3 * (time.perf_counter() - start))
    return least


def measure_scan(side: int, channels: int, folder: Path, repetitions: int) -> dict[str, float]:
    """PyTorch and both forms."""
    inputs = tuple(draw_inputs("ss2d", side, side, channels, N))
    runs: dict[str, Callable[[], object]] = {"torch": lambda: ss2d_scan(*inputs)}
    for form in ("scan", "chunked"):
        write_scan(inputs, folder / f"{form}.onnx", form)
        session = session_of(folder / f"{form}.onnx")
        feed = {v.name: t.numpy() for v, t in zip(session.get_inputs(), inputs, strict=True)}
        runs[form] = lambda session=session, feed=feed: session.run(None, feed)
    return race(runs, repetitions)


def measure_softplus(folder: Path, repetitions: int) -> dict[str, float]:
    """PyTorch, ONNX Runtime's own, and ours, for as many elements as the largest scan has step sizes."""
    x = torch.randn(4 * 4096 * 192) - 4
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, x.shape)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Softplus", ["x"], ["y"])], "own", [value], [result]
    )
    own = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    runs: dict[str, Callable[[], object]] = {"torch": lambda: F.softplus(x)}
    for name, network in (("Softplus", own), ("written out", softplus.to_model_proto())):
        onnx.save(network, folder / "softplus.onnx")
        session = session_of(folder / "softplus.onnx")
        runs[name] = lambda session=session: session.run(None, {"x": x.numpy()})
    return race(runs, repetitions)


def measure_network(model: SegmentationModel, folder: Path, repetitions: int) -> dict[str, float]:
    """PyTorch and the default form."""
    model.preprocessing = replace(model.preprocessing, size=SIZE)
    images = torch.randn(1, 3, SIZE, SIZE)
    export_onnx(model, folder / "model.onnx", fixed_size=True)
    session = session_of(folder / "model.onnx")
    feed = {"images": images.numpy()}
    return race({"torch": lambda: model(images), "scan": lambda: session.run(None, feed)}, repetitions)


def main() -> None:
    """Measure everything, print it, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/export.csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    machine = f"{describe_machine()}, onnxruntime {onnxruntime.__version__}"
    command = shlex.join(["python", *sys.argv])
    rows = []

    def add(what: str, steps: int | str, channels: int | str, default: str, times: dict[str, float]) -> None:
        for form, milliseconds in times.items():
            rows.append(
                {
                    "what": what,
                    "steps": steps,
                    "channels": channels,
                    "form": form,
                    "default": form == default,
                    "threads": THREADS,
                    "milliseconds": f"{milliseconds:.1f}",
                    "times_torch": f"{milliseconds / times['torch']:.2f}",
                    "machine": machine,
                    "command": command,
                }
            )

    with tempfile.TemporaryDirectory() as name, torch.no_grad():
        folder = Path(name)
        for what, create in NETWORKS.items():
            torch.manual_seed(0)
            add(what, "", "", "scan", measure_network(create().eval(), folder, arguments.repetitions))
        add("softplus", "", "", "written out", measure_softplus(folder, arguments.repetitions))
        for side, channels in SCANS:
            times = measure_scan(side, channels, folder, arguments.repetitions)
            add("ss2d", side * side, channels, "scan", times)
    write_rows(arguments.out, rows)
    shown = list(rows[0])[:-2]
    table = Table(*shown)
    for row in rows:
        table.add_row(*(str(row[column]) for column in shown))
    Console(width=120).print(table, machine, sep="\n")


if __name__ == "__main__":
    main()
