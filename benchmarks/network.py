"""Time the whole released-form XLSTM-VMUNet at 256 px beside its peers, in one run.

    python benchmarks/network.py [--released-repo PATH] [--train]

Peers, on the same input and threads:

- plain: our network with the scan that released code runs where its compiled package is missing: one loop
  over the pixels, all four directions side by side, under autograd;
- reference: our network with our own loop over the steps, which, unlike the plain one, has a backward pass of
  linear time; it is the training step's peer (--train), since the others' would take hours and 24 GiB;
- released: the authors' own network (FangZhuoyi/XLSTM-VMUNet, checked out at PATH; needs einops) with that
  loop in place of mamba-ssm. Nothing of theirs is part of this project.

Every measurement is a fresh process; time is the median of its repetitions after one run that compiles, and
the least of the processes.
Systems take turns, so that other work on the machine meets all. Writes `results/benchmarks/network.csv`.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
import types
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn import functional as F

from dermseg.errors import DermsegWarning
from machine import describe_machine
from peers import plain_scan, plain_ss2d_scan
from rows import write_rows

REPETITIONS = {"ours": 10, "plain": 1, "released": 1, "reference": 0}
ROUNDS = 2  # processes per measurement
THREADS = 2


@dataclass(frozen=True)
class Case:
    """One system at one task."""

    system: str  # ours, plain, released, reference
    task: str  # forward (batch 1), train (batch 2: forward, backward, AdamW)
    repository: str = ""


def build(case: Case) -> nn.Module:
    """The network of a case, with its own initial weights."""
    torch.manual_seed(0)
    if case.system == "released":
        return _released(case.repository)
    from dermseg.models.registry import create_model
    from dermseg.ops.ss2d import op

    os.environ["DERMSEG_BACKEND"] = "reference" if case.system == "reference" else "numba"
    if case.system == "plain":
        op.ss2d_scan = plain_ss2d_scan
        op.kernel_runs = lambda *_: False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DermsegWarning)
        return create_model("xlstm_vmunet", fusion="released")


def _released(repository: str) -> nn.Module:
    """The authors' network, its compiled scan replaced by the plain one before it is imported."""
    for name in ("mamba_ssm", "mamba_ssm.ops", "mamba_ssm.ops.selective_scan_interface"):
        sys.modules[name] = types.ModuleType(name)
    interface = sys.modules["mamba_ssm.ops.selective_scan_interface"]
    interface.selective_scan_fn = interface.selective_scan_ref = plain_scan
    sys.path.insert(0, repository)
    from XLSTM_VMUNet import XLSTM_VMUNet

    return XLSTM_VMUNet(
        depths=[2, 2, 2, 2], depths_decoder=[2, 2, 2, 1], drop_path_rate=0.2, load_ckpt_path=None
    )


def measure(case: Case) -> float:
    """Median seconds of one run of a case, in this process."""
    torch.set_num_threads(THREADS)
    network = build(case)
    run = _forward(network) if case.task == "forward" else _training_step(network)
    seconds = []
    for _ in range(1 + REPETITIONS[case.system]):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return median(seconds[1:] or seconds)  # what takes a minute is run once


def _forward(network: nn.Module) -> Callable[[], object]:
    network.eval()
    images = torch.randn(1, 3, 256, 256)
    return torch.no_grad()(lambda: network(images))


def _training_step(network: nn.Module) -> Callable[[], object]:
    network.train()
    images, masks = torch.randn(2, 3, 256, 256), torch.rand(2, 256, 256).round()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(network(images).view_as(masks), masks).backward()
        optimizer.step()

    return step


def measure_apart(case: Case) -> float:
    """Median seconds of one run of a case, in a fresh process."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
    command = [sys.executable, __file__, "--case", json.dumps(asdict(case))]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return float(output.splitlines()[-1])


def main() -> None:
    """Measure all systems, print them, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--released-repo", default="", help="checkout of FangZhuoyi/XLSTM-VMUNet")
    parser.add_argument("--train", action="store_true", help="training steps at batch 2 too; about 14 GiB")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/network.csv"))
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(measure(Case(**json.loads(arguments.case))))
        return

    systems = {"forward": ["plain", *(["released"] if arguments.released_repo else []), "ours"]}
    if arguments.train:
        systems["train"] = ["reference", "ours"]
    cases = [Case(system, task, arguments.released_repo) for task in systems for system in systems[task]]
    seconds: dict[Case, float] = {}
    for _ in range(ROUNDS):
        for case in cases:
            if case.system == "reference" and case in seconds:
                continue
            seconds[case] = min(measure_apart(case), seconds.get(case, float("inf")))

    machine, command = describe_machine(), shlex.join(["python", *sys.argv])
    table = Table("task", "system", "seconds", "speed of ours over it")
    rows = []
    for case in cases:
        ratio = seconds[case] / seconds[Case("ours", case.task, arguments.released_repo)]
        rows.append(
            {
                "task": case.task,
                "system": case.system,
                "threads": THREADS,
                "seconds": f"{seconds[case]:.4f}",
                "speed_of_ours": f"{ratio:.1f}",
                "machine": machine,
                "command": command,
            }
        )
        table.add_row(case.task, case.system, f"{seconds[case]:.3f}", f"{ratio:.1f}")
    write_rows(arguments.out, rows)
    Console().print(table, machine, sep="\n")


if __name__ == "__main__":
    main()
