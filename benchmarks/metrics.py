"""Time and peak memory of all metrics of 1,000 predictions at native size, beside MONAI's, in one run.

    python benchmarks/metrics.py

The peer is MONAI (`pip install monai`): Dice, IoU, sensitivity, specificity, accuracy, HD95, average
symmetric surface distance and normalised surface Dice, each by its own function on the same masks. The pairs
are drawn by seed at sizes of the ISIC archive: outlines like those of lesions, and predictions a few percent
off, some with a stray spot. No mask is empty, since MONAI leaves those undefined. Values are compared pair
by pair, to the precision of the peer's 32-bit results; a larger difference is an error.

The systems take turns in blocks of pairs, each in a fresh process, so that other work on the machine meets
both. Drawing is not timed. Memory is the largest growth of the peak resident size over what it was when a
pair was ready. Writes `results/benchmarks/metrics.csv`.
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
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rich.console import Console
from rich.progress import track
from rich.table import Table

from dermseg.evaluation.metrics import NSD_TOLERANCE, score
from machine import describe_machine, forget_peak, peak_mib, resident_mib
from rows import write_rows

SIZES = {(600, 450): 35, (1022, 767): 35, (1504, 1129): 5, (2592, 1944): 8, (3024, 2016): 7, (4288, 2848): 5}
SIZES |= {(6000, 4000): 5}
"""Width and height, with the percentage of pairs: a made-up mix of the archive's usual sizes."""
NAMES = ("dice", "iou", "sensitivity", "specificity", "accuracy", "hd95", "assd", "nsd")
SYSTEMS = ("monai", "ours")
THREADS = 2
PRECISION = 1e-5
"""Relative and absolute difference that the peer's 32-bit results explain."""
PERCENTILE_PRECISION = 2e-3
"""Absolute difference of HD95, in pixels, that the peer's rank in 32 bits explains: it lies between two
distances, which a stray spot sets a hundred pixels apart. In 64 bits the same quantile is ours."""

Mask = NDArray[np.bool_]
Scorer = Callable[[Mask, Mask], list[float]]


def draw_pair(number: int) -> tuple[Mask, Mask]:
    """Draw a prediction and its target (height, width), the same ones for the same number."""
    rng = np.random.default_rng([7, number])
    shares = np.array(list(SIZES.values())) / sum(SIZES.values())
    width, height = list(SIZES)[rng.choice(len(SIZES), p=shares)]
    angles = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    centre = np.array([width, height]) * rng.uniform(0.4, 0.6, 2)
    radius = height * rng.uniform(0.12, 0.4) * (1 + _wobble(rng, angles, 0.1))
    target = _fill(angles, centre, radius, (width, height))
    moved = centre + height * rng.normal(0, 0.01, 2)
    prediction = _fill(angles, moved, radius * (1 + _wobble(rng, angles, 0.04)), (width, height))
    if rng.random() < 0.2:
        spot = np.array([width, height]) * rng.uniform(0.05, 0.95, 2)
        prediction |= _fill(angles, spot, np.full(720, height * 0.01), (width, height))
    return prediction, target


def _wobble(rng: np.random.Generator, angles: NDArray[np.float64], size: float) -> NDArray[np.float64]:
    """A random periodic curve, rougher details being smaller."""
    orders = np.arange(1, 40)
    phases = rng.uniform(0, 2 * np.pi, orders.size)
    waves = rng.normal(0, size, orders.size)[:, None] / orders[:, None]
    curve: NDArray[np.float64] = (waves * np.cos(orders[:, None] * angles + phases[:, None])).sum(axis=0)
    return curve


def _fill(
    angles: NDArray[np.float64],
    centre: NDArray[np.float64],
    radius: NDArray[np.float64],
    size: tuple[int, int],
) -> Mask:
    points = centre + radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    canvas = Image.new("L", size)
    ImageDraw.Draw(canvas).polygon([(float(x), float(y)) for x, y in points], fill=1)
    return np.asarray(canvas).astype(bool)


def ours() -> Scorer:
    """Score by this project."""

    def run(prediction: Mask, target: Mask) -> list[float]:
        scores = score(prediction, target)
        return [getattr(scores, name) for name in NAMES]

    return run


def monai() -> Scorer:
    """Score by MONAI's functions."""
    import torch
    from monai import metrics

    torch.set_num_threads(THREADS)

    def run(prediction: Mask, target: Mask) -> list[float]:
        masks = [torch.from_numpy(mask)[None, None].float() for mask in (prediction, target)]
        tolerance = NSD_TOLERANCE * float(np.hypot(*target.shape))
        counts = metrics.get_confusion_matrix(*masks)
        values = [
            metrics.compute_dice(*masks),
            metrics.compute_iou(*masks),
            *(
                metrics.compute_confusion_matrix_metric(name, counts)
                for name in ("sensitivity", "specificity", "accuracy")
            ),
            metrics.compute_hausdorff_distance(*masks, include_background=True, percentile=95),
            metrics.compute_average_surface_distance(*masks, include_background=True, symmetric=True),
            metrics.compute_surface_dice(*masks, [tolerance], include_background=True),
        ]
        return [float(value) for value in values]

    return run


def measure(system: str, first: int, last: int) -> dict[str, Any]:
    """Score the pairs from `first` to before `last` in this process."""
    run = {"ours": ours, "monai": monai}[system]()
    run(*draw_pair(first))  # loads what is loaded late
    seconds = cpu_seconds = peak = 0.0
    scores = []
    for number in range(first, last):
        pair = draw_pair(number)
        forget_peak()
        before, cpu, start = resident_mib(), time.process_time(), time.perf_counter()
        scores.append(run(*pair))
        seconds += time.perf_counter() - start
        cpu_seconds += time.process_time() - cpu
        peak = max(peak, peak_mib() - before)
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mib": peak, "scores": scores}


def measure_apart(system: str, first: int, last: int) -> dict[str, Any]:
    """Score some pairs in a fresh process."""
    # The peer calls its own deprecated functions, once per pair.
    quiet = {"PYTHONWARNINGS": "ignore::FutureWarning"}
    environment = {**os.environ, **quiet, "OMP_NUM_THREADS": str(THREADS)}
    command = [sys.executable, __file__, "--block", system, str(first), str(last)]
    output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def main() -> None:
    """Measure both systems, compare their values, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--blocks", type=int, default=5, help="turns that the systems take")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/metrics.csv"))
    parser.add_argument("--block", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.block:
        system, first, last = arguments.block
        print(json.dumps(measure(system, int(first), int(last))))
        return
    if importlib.util.find_spec("monai") is None:
        sys.exit("This benchmark compares with MONAI, which is not installed here: pip install monai")

    ends = np.linspace(0, arguments.pairs, arguments.blocks + 1).astype(int).tolist()
    turns = [(system, *block) for block in pairwise(ends) for system in SYSTEMS]
    found: dict[str, list[dict[str, Any]]] = {system: [] for system in SYSTEMS}
    for system, first, last in track(turns, "Scoring", console=Console(stderr=True)):
        found[system].append(measure_apart(system, first, last))

    scores = {system: np.concatenate([block["scores"] for block in found[system]]) for system in SYSTEMS}
    for column, name in enumerate(NAMES):
        absolute = PERCENTILE_PRECISION if name == "hd95" else PRECISION
        mine, theirs = (scores[system][:, column] for system in ("ours", "monai"))
        np.testing.assert_allclose(mine, theirs, rtol=PRECISION, atol=absolute, err_msg=name)
    totals = {
        system: {
            "seconds": sum(block["seconds"] for block in blocks),
            "cpu_seconds": sum(block["cpu_seconds"] for block in blocks),
            "peak_mib": max(block["peak_mib"] for block in blocks),
        }
        for system, blocks in found.items()
    }
    write_table(totals, arguments.pairs, float(np.abs(scores["ours"] - scores["monai"]).max()), arguments.out)


def write_table(
    totals: dict[str, dict[str, float]], pairs: int, largest_difference: float, out: Path
) -> None:
    """Print and write one row per system."""
    machine, command = describe_machine(), shlex.join(["python", *sys.argv])
    peer = totals["monai"]
    rows = [
        {
            "system": system,
            "pairs": pairs,
            "threads": THREADS,
            **{name: f"{value:.2f}" for name, value in total.items()},
            "share_of_monai_time": f"{total['seconds'] / peer['seconds']:.4f}",
            "share_of_monai_cpu_time": f"{total['cpu_seconds'] / peer['cpu_seconds']:.4f}",
            "share_of_monai_memory": f"{total['peak_mib'] / peer['peak_mib']:.3f}",
            "largest_difference": f"{largest_difference:.1e}",
            "machine": machine,
            "command": command,
        }
        for system, total in totals.items()
    ]
    write_rows(out, rows)
    shown = ("system", "seconds", "cpu_seconds", "peak_mib")
    shares = ("share_of_monai_time", "share_of_monai_cpu_time", "share_of_monai_memory")
    table = Table("system", "seconds", "CPU seconds", "peak MiB", "of MONAI's time", "CPU time", "memory")
    for row in rows:
        table.add_row(*(str(row[name]) for name in (*shown, *shares)))
    console = Console()
    console.print(
        table, f"{pairs:,} pairs, largest difference of a value {largest_difference:.1e}", machine, sep="\n"
    )


if __name__ == "__main__":
    main()
