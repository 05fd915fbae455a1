"""Prove the GPU kernels on a GPU, and time them beside their peers.

    python benchmarks/gpu.py

On a machine with an NVIDIA GPU, three parts: values, gradients and repeatability against the reference in
float64; time and peak memory of S6 and SS2D at VM-UNet's four stages, and of the sLSTM over 256 steps; a
training step of XLSTM-VMUNet. Peers:
mamba-ssm's CUDA kernel where it can be imported (for SS2D and the network between the copies of the map that
released code makes for it, here without einops), and our reference loop.

Every row is written to `results/benchmarks/gpu.csv` as soon as it is measured. A run stops after `--minutes`;
the next one on the same kind of machine measures what is missing. Time is the median of the repetitions on
the GPU's own clock; memory is the peak of PyTorch's allocator over what it held before.
"""

import argparse
import csv
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from unittest import mock

import torch
from rich.console import Console
from torch import Tensor
from torch.nn import functional as F

import peers
from dermseg.errors import DermsegWarning
from machine import describe_machine
from ops import STAGES
from rows import write_rows

LEADING = ("what", "operator", "system", "batch", "height", "width", "channels", "dtype", "backward")
MEASURED = ("milliseconds", "peak_mib", "largest_relative_error", "repeatable")
TOLERANCE = {"float64": 1e-9, "float32": 1e-4, "bfloat16": 2e-2}
"""Largest error that a proof accepts, relative to the largest entry of the tensor."""


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    what: str  # proof, time, training step
    operator: str  # selective_scan, ss2d, slstm (steps x heads x head_dim), xlstm_vmunet
    system: str  # dermseg, mamba-ssm, reference
    batch: int
    height: int
    width: int
    channels: int
    dtype: str
    backward: bool


def cases() -> list[Case]:
    """All rows, proofs first."""
    found = []
    for dtype in TOLERANCE:
        for height, width, channels in ((1, 1, 1), (7, 9, 17), (1, 131, 65), (30, 31, 96)):
            found.append(Case("proof", "ss2d", "dermseg", 2, height, width, channels, dtype, True))
        for steps, heads, head_dim in ((1, 1, 1), (33, 4, 48), (9, 2, 100)):
            found.append(Case("proof", "slstm", "dermseg", 3, steps, heads, head_dim, dtype, True))
    systems = ["dermseg", *(["mamba-ssm"] if find_spec("mamba_ssm") else [])]
    for dtype in ("float32", "bfloat16"):
        for backward in (False, True):
            for height, width, channels in STAGES:
                for batch in (8, 1):
                    for system in systems:
                        size = (batch, height, width, channels, dtype, backward)
                        found.append(Case("time", "ss2d", system, *size))
                        flat = (batch, 1, height * width, channels, dtype, backward)
                        found.append(Case("time", "selective_scan", system, *flat))
    for dtype in ("float32", "bfloat16"):
        for system in systems:
            found.append(Case("training step", "xlstm_vmunet", system, 8, 256, 256, 96, dtype, True))
    for system in ("dermseg", "reference"):
        found.append(Case("time", "slstm", system, 8, 256, 4, 48, "float32", True))
    for height, width, channels in reversed(STAGES):  # slow, so last
        found.append(Case("time", "ss2d", "reference", 1, height, width, channels, "float32", True))
    return found


def draw(case: Case, device: str) -> list[Tensor]:
    """Inputs as at the start of training, in the types that autocast gives them."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    size, K, N = (case.batch, case.height, case.width), 4, 16
    if case.operator == "slstm":
        batch, steps, heads, d = *size, case.channels
        mixed, parameters = [normal(batch, steps, 4, heads, d)], [normal(4, heads, d, d) / d**0.5]
    else:
        # The product in the SS2D layer leaves the step sizes direction first.
        delta = 0.1 * normal(K, *size, case.channels).movedim(0, 3)
        mixed = [normal(*size, case.channels), delta, normal(*size, K, N), normal(*size, K, N)]
        A = -torch.arange(1.0, N + 1).repeat(K, case.channels, 1)
        parameters = [A, torch.ones(K, case.channels), torch.full((K, case.channels), -4.6)]
    found = [tensor.to(getattr(torch, case.dtype)) for tensor in mixed]
    found += [tensor.to(torch.promote_types(found[0].dtype, torch.float32)) for tensor in parameters]
    if case.operator != "slstm":
        x, delta, B, C, A, D, bias = found
        found = [x, delta, A, B, C, D, bias]
    if case.operator == "selective_scan":  # the first direction of a map of one row
        found = [x[:, 0], delta[:, 0, :, 0], A[0], B[:, 0, :, 0], C[:, 0, :, 0], D[0], bias[0]]
        found = [tensor.contiguous() for tensor in found]
    return [tensor.to(device).requires_grad_(case.backward) for tensor in found]


def mamba_scan(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, delta_bias: Tensor, **_: object
) -> Tensor:
    """`peers.plain_scan` by mamba-ssm's kernel."""
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    y: Tensor = selective_scan_fn(u, delta, A, B, C, D, delta_bias=delta_bias, delta_softplus=True)
    return y


@contextmanager
def running(system: str, operator: str) -> Iterator[Callable[..., Tensor]]:
    """An operator of a system, while its back-end is chosen."""
    from dermseg.ops.selective_scan import selective_scan
    from dermseg.ops.slstm import slstm
    from dermseg.ops.ss2d import ss2d_scan

    ours = {"selective_scan": selective_scan, "ss2d": ss2d_scan, "slstm": lambda *inputs: slstm(*inputs)[0]}
    theirs = {"selective_scan": peers.plain_selective_scan, "ss2d": peers.plain_ss2d_scan}
    if system == "mamba-ssm":
        # Constants that the peers make are to be made on the GPU.
        with mock.patch.object(peers, "plain_scan", mamba_scan), torch.device("cuda"):
            yield theirs[operator]
    else:
        backend = "reference" if system == "reference" else "triton"
        with mock.patch.dict("os.environ", DERMSEG_BACKEND=backend):
            yield ours[operator]


def value_and_gradients(function: Callable[..., Tensor], inputs: list[Tensor]) -> list[Tensor]:
    """Output, and the gradient of a weighted sum of it by every input."""
    y = function(*inputs)
    weights = torch.linspace(-1, 1, y.numel(), device=y.device).reshape(y.shape).to(y.dtype)
    return [y.detach(), *torch.autograd.grad((y.double() * weights.double()).sum(), inputs)]


def prove(case: Case, device: str = "cuda") -> dict[str, object]:
    """Compare value and gradients with the reference in float64, and two runs with each other.

    Args:
        case: What to prove.
        device: Where; on a CPU, in Triton's interpreter.

    Raises:
        SystemExit: If they differ: times of a wrong kernel are worth nothing.
    """
    inputs = draw(case, device)
    doubles = [tensor.detach().double().requires_grad_() for tensor in inputs]
    with running("reference", case.operator) as operator:
        truth = value_and_gradients(operator, doubles)
    with running(case.system, case.operator) as operator:
        ours, again = (value_and_gradients(operator, inputs) for _ in range(2))
    errors = [float((a - b).abs().max() / (b.abs().max() + 1e-30)) for a, b in zip(ours, truth, strict=True)]
    repeatable = all(torch.equal(a, b) for a, b in zip(ours, again, strict=True))
    if not repeatable or not max(errors) <= TOLERANCE[case.dtype]:
        raise SystemExit(f"{case}: relative errors {errors}, repeatable: {repeatable}")
    return {"largest_relative_error": f"{max(errors):.1e}", "repeatable": repeatable}


def time_operator(case: Case) -> dict[str, object]:
    """Time an operator, forward or forward and backward."""
    inputs = draw(case, "cuda")
    with running(case.system, case.operator) as operator:

        def run() -> None:
            y = operator(*inputs)
            if case.backward:
                torch.autograd.grad(y, inputs, torch.ones_like(y))

        return measured(run, 1 if case.system == "reference" else 50)


def time_training(case: Case) -> dict[str, object]:
    """Time forward, backward and AdamW of the full network."""
    from dermseg.models.registry import create_model
    from dermseg.ops.ss2d import op

    torch.manual_seed(0)
    network = create_model(case.operator, width=case.channels).cuda().train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    images = torch.randn(case.batch, 3, case.height, case.width, device="cuda")
    masks = torch.rand(case.batch, 1, case.height, case.width, device="cuda").round()

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16, enabled=case.dtype == "bfloat16"):
            logits = network(images)
        F.binary_cross_entropy_with_logits(logits.float(), masks).backward()
        optimizer.step()

    with running(case.system, "ss2d") as scan, mock.patch.object(op, "ss2d_scan", scan):
        return measured(step, 20)


def measured(run: Callable[[], None], repetitions: int) -> dict[str, object]:
    """Median milliseconds and peak memory of a function."""
    for _ in range(min(repetitions, 3)):  # compiles, tunes
        run()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    milliseconds = []
    for _ in range(repetitions):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        milliseconds.append(start.elapsed_time(end))
    peak = (torch.cuda.max_memory_allocated() - before) / 2**20
    return {"milliseconds": f"{median(milliseconds):.4f}", "peak_mib": f"{peak:.1f}"}


MEASURES = {"proof": prove, "time": time_operator, "training step": time_training}


def main() -> None:
    """Measure what the table lacks, as long as time is left."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0, help="stop after")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/gpu.csv"))
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("benchmarks/gpu.py needs an NVIDIA GPU that PyTorch can use; this machine has none")

    import triton

    warnings.simplefilter("error", DermsegWarning)  # another back-end is not what is to be measured
    console = Console(width=150)
    until = time.monotonic() + 60 * arguments.minutes
    machine = f"{torch.cuda.get_device_name()}, triton {triton.__version__}, {describe_machine()}"
    command = shlex.join(["python", *sys.argv])
    rows = list(csv.DictReader(arguments.out.open(newline=""))) if arguments.out.exists() else []
    done = {tuple(row[name] for name in LEADING) for row in rows if row["machine"] == machine}
    planned = [case for case in cases() if tuple(map(str, asdict(case).values())) not in done]
    if not find_spec("mamba_ssm"):
        console.print("mamba-ssm is not installed: its rows are left out")
    for number, case in enumerate(planned):
        if time.monotonic() > until:
            console.print(f"time is over: {len(planned) - number} of {len(planned)} left; run this again")
            return
        result = dict.fromkeys(MEASURED, "") | MEASURES[case.what](case)
        rows.append(
            {
                **{k: str(v) for k, v in {**asdict(case), **result}.items()},
                "machine": machine,
                "command": command,
            }
        )
        console.print(case, result)
        write_rows(arguments.out, rows)
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
