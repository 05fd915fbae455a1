"""Time and peak memory of every operator, each beside its peers, in one run.

    python benchmarks/ops.py

The peers are our reference loop over the steps; the form the plain scan has in released code of this family
("released": discretise all L steps into tensors with N entries per element, then loop over them with einsum);
and the parallel scan of mambapy, where that is installed. The backward pass of the released form is quadratic
in L: it is measured at L = 512, and with --released-backward, which takes about a quarter of an hour, at
L = 4096. Every measurement is a fresh process. Memory is the growth of
its peak resident size over what it was when the inputs were ready; time is the median of a process's
repetitions, compilation excluded, and the least of the processes. Peers and ours take turns, so that other
work on the machine meets all. Writes `results/benchmarks/ops.csv` and the picture beside it.
"""

import argparse
import importlib.util
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from machine import describe_machine, forget_peak, peak_mib, resident_mib
from operators import draw_inputs, operator
from picture import draw_scaling
from rows import write_rows

REPETITIONS = {"released": 0, "reference": 1, "mambapy": 1, "numba": 15}
"""Runs after the first, whose memory is measured as well."""
LENGTHS = (1024, 4096, 16384, 65536)
SHORT = 512
"""Length at which the released form's backward pass, quadratic in L, ends within seconds."""
# VM-UNet's four stages at 256 px: height, width, channels of the scanned map; N is 16.
STAGES = [(64, 64, 192), (32, 32, 384), (16, 16, 768), (8, 8, 1536)]


@dataclass(frozen=True)
class Case:
    """One operator at one size on one back-end."""

    operator: str  # selective_scan, ss2d, slstm, mlstm
    height: int
    width: int
    channels: int
    states: int
    backend: str
    backward: bool
    threads: int

    @property
    def size(self) -> tuple[object, ...]:
        """What a case shares with its peer."""
        return (
            self.operator,
            self.height,
            self.width,
            self.channels,
            self.states,
            self.backward,
            self.threads,
        )


@dataclass(frozen=True)
class Measurement:
    """What a process reports."""

    milliseconds: float
    cpu_milliseconds: float  # of all threads; other work on the machine does not count
    peak_mib: float


def cases(quick: bool, released_backward: bool) -> list[Case]:
    """All cases, peers before ours."""
    found = [Case("selective_scan", 1, 4096, 768, 16, "released", False, threads) for threads in (2, 1)]
    for backend in ("released", "reference", "numba"):
        found.append(Case("selective_scan", 1, SHORT, 768, 16, backend, True, 2))
    if released_backward:
        found.append(Case("selective_scan", 1, 4096, 768, 16, "released", True, 2))
    for backward in (False, True):
        for backend in ("reference", "numba"):
            found.append(Case("selective_scan", 1, 4096, 768, 16, backend, backward, 2))
            for height, width, channels in [] if quick else STAGES:
                found.append(Case("ss2d", height, width, channels, 16, backend, backward, 2))
        for backend in ("reference", "numba"):
            found.append(Case("selective_scan", 1, 4096, 768, 16, backend, backward, 1))
        found += [
            Case(operator, 1, 256, 256, 0, backend, backward, 2)
            for operator in ("slstm", "mlstm")
            for backend in ("reference", "numba")
        ]
        found += [] if quick else _lengths(backward)
    return found


def _lengths(backward: bool) -> list[Case]:
    """Sequences of growing length; the peers stop where they take too long or too much memory."""
    found = []
    if importlib.util.find_spec("mambapy"):
        found += [Case("selective_scan", 1, length, 96, 16, "mambapy", backward, 2) for length in LENGTHS[:3]]
    found += [Case("selective_scan", 1, length, 96, 16, "reference", backward, 2) for length in LENGTHS[:3]]
    found += [Case("selective_scan", 1, length, 96, 16, "numba", backward, 2) for length in LENGTHS]
    found += [Case("mlstm", 1, length, 256, 0, "numba", backward, 2) for length in LENGTHS]
    return found


def measure(case: Case) -> Measurement:
    """Run one case in this process."""
    os.environ["DERMSEG_BACKEND"] = "numba" if case.backend == "numba" else "reference"
    import torch

    torch.set_num_threads(case.threads)
    torch.manual_seed(0)
    function = operator(case.operator, case.backend)

    def run(tensors: list[torch.Tensor]) -> None:
        y = function(*tensors)
        if case.backward:
            torch.autograd.grad(y, tensors, torch.ones_like(y))

    def inputs(height: int, width: int, channels: int) -> list[torch.Tensor]:
        drawn = draw_inputs(case.operator, height, width, channels, case.states)
        return [tensor.requires_grad_(case.backward) for tensor in drawn]

    run(inputs(1 if case.height == 1 else 2, 2, 4))  # loads and compiles
    tensors = inputs(case.height, case.width, case.channels)
    forget_peak()  # compiling has raised it
    before = resident_mib()
    times = [_times(run, tensors)]
    peak = peak_mib() - before
    times += [_times(run, tensors) for _ in range(REPETITIONS[case.backend])]
    wall, cpu = (1e3 * median(column) for column in zip(*times, strict=True))
    return Measurement(wall, cpu, peak)


def _times(run: Callable[..., None], *arguments: object) -> tuple[float, float]:
    """Seconds on the clock and of processor time."""
    wall, cpu = time.perf_counter(), time.process_time()
    run(*arguments)
    return time.perf_counter() - wall, time.process_time() - cpu


def measure_apart(case: Case) -> Measurement:
    """Run one case in a fresh process."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(case.threads)}
    command = [sys.executable, __file__, "--case", json.dumps(asdict(case))]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return Measurement(**json.loads(output.splitlines()[-1]))


def main() -> None:
    """Measure all cases, print them, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the 768 x 16 x 4096 case only")
    parser.add_argument(
        "--released-backward", action="store_true", help="the released form's at L = 4096 too"
    )
    parser.add_argument("--rounds", type=int, default=2, help="processes per measurement")
    parser.add_argument("--out", type=Path, help="results/benchmarks/ops.csv, or ops-quick.csv")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(asdict(measure(Case(**json.loads(arguments.case))))))
        return

    out = arguments.out or Path(f"results/benchmarks/ops{'-quick' if arguments.quick else ''}.csv")
    planned = cases(arguments.quick, arguments.released_backward)
    best: dict[Case, Measurement] = {}
    for _ in range(arguments.rounds):
        for case in sorted(planned, key=lambda case: case.size):
            new = measure_apart(case)
            old = best.get(case, new)
            best[case] = Measurement(*map(min, zip(astuple(old), astuple(new), strict=True)))

    machine, command = describe_machine(), shlex.join(["python", *sys.argv])
    peers = {(case.backend, case.size): best[case] for case in planned if case.backend != "numba"}
    ratio_columns = ("x released", "of memory", "x reference", "of memory", "x mambapy", "of memory")
    sizes = ("operator", "H x W x channels, N", "pass", "back-end", "threads")
    table = Table(*sizes, "ms", "CPU ms", "MiB", *ratio_columns)
    rows = []
    for case in planned:
        ours = best[case]
        ratios = {}
        for name in ("released", "reference", "mambapy"):
            peer = peers.get((name, case.size))
            ratios[f"times_{name}_speed"] = peer and f"{peer.milliseconds / ours.milliseconds:.1f}"
            ratios[f"of_{name}_memory"] = peer and f"{ours.peak_mib / peer.peak_mib:.3f}"
        row = {**asdict(case), **{name: f"{value:.2f}" for name, value in asdict(ours).items()}}
        rows.append({**row, **ratios, "machine": machine, "command": command})
        size = f"{case.height} x {case.width} x {case.channels}, {case.states}"
        direction = "forward + backward" if case.backward else "forward"
        figures = (
            row["milliseconds"],
            row["cpu_milliseconds"],
            row["peak_mib"],
            *(value or "" for value in ratios.values()),
        )
        table.add_row(case.operator, size, direction, case.backend, str(case.threads), *figures)
    write_rows(out, rows)
    if not arguments.quick:
        draw_scaling(out, out.with_suffix(".png"))
    Console(width=170).print(table, machine, sep="\n")


if __name__ == "__main__":
    main()
