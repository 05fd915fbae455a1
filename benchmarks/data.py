"""Images per second that a training is fed with: from the prepared cache and from the raw files, in one run.

    python benchmarks/data.py DATA

DATA is a data set as `dermseg train` takes it. The peer is what training scripts do without a cache: a data
set that opens, converts and resizes both files of an item (Pillow, torchvision.transforms.v2), read by one
worker process for each core. Both are augmented by the same function, on whole batches in the main process;
ours is read there too. Every measurement is a fresh process: preparing the cache (seconds, and the peak of
its resident memory), then batches for some seconds each. Images per CPU second count what all threads and
workers took (on Linux); other work on the machine does not change them much. Of several rounds the best
counts.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dermseg.data.cache import prepare
from dermseg.data.readers import read_collection
from machine import describe_machine, peak_mib
from rows import write_rows


@dataclass(frozen=True)
class Case:
    """What one process measures."""

    source: str  # "prepare", "cache" or "raw files"
    augmented: bool = False


CASES = (
    Case("prepare"),
    *(Case(source, augmented) for augmented in (False, True) for source in ("raw files", "cache")),
)


@dataclass(frozen=True)
class Measurement:
    """What a process reports."""

    images: int
    seconds: float
    cpu_seconds: float  # of all threads and worker processes
    peak_mib: float  # resident memory of the main process


def measure(case: Case, data: Path, size: int, batch_size: int, seconds: float, cache: Path) -> Measurement:
    """Run one case in this process."""
    pairs = read_collection(data).pairs
    start, cpu_start = time.perf_counter(), time.process_time()
    prepared = prepare(pairs, size, cache)
    images = len(prepared.identifiers)
    passed, cpu_passed = time.perf_counter() - start, time.process_time() - cpu_start
    if case.source != "prepare":
        # Here, since the memory of a preparation is measured without torch, as `dermseg data prepare` runs.
        from feeding import cached_loader, feed, raw_loader

        ours = case.source == "cache"
        loader = cached_loader(prepared, batch_size) if ours else raw_loader(pairs, size, batch_size)
        images, passed, cpu_passed = feed(loader, case.augmented, seconds)
    return Measurement(images, passed, cpu_passed, peak_mib())


def measure_apart(case: Case, arguments: argparse.Namespace, cache: Path) -> Measurement:
    """Run one case in a fresh process."""
    words = [str(arguments.data), "--size", str(arguments.size), "--batch-size", str(arguments.batch_size)]
    words += ["--seconds", str(arguments.seconds), "--cache", str(cache), "--case", json.dumps(asdict(case))]
    output = subprocess.run([sys.executable, __file__, *words], check=True, stdout=subprocess.PIPE, text=True)
    return Measurement(**json.loads(output.stdout.splitlines()[-1]))


def main() -> None:
    """Measure all cases, print them, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of a data set")
    parser.add_argument("--size", type=int, default=256, help="side of the images in pixels")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10, help="for which batches are read")
    parser.add_argument("--rounds", type=int, default=2, help="processes per measurement")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/data.csv"))
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.case:
        done = measure(Case(**json.loads(a.case)), a.data, a.size, a.batch_size, a.seconds, a.cache)
        print(json.dumps(asdict(done)))
        return

    best: dict[Case, Measurement] = {}
    for _ in range(a.rounds):
        with tempfile.TemporaryDirectory() as cache:
            for case in CASES:
                new = measure_apart(case, a, Path(cache))
                old = best.get(case, new)
                best[case] = min(new, old, key=lambda found: found.seconds / found.images)

    machine, command = describe_machine(), shlex.join(["python", *sys.argv])
    table = Table("from", "augmented", "images/s", "per CPU second", "x raw files", "seconds", "peak MiB")
    rows = []
    for case, found in best.items():
        peer = best[Case("raw files", case.augmented)]
        speed = found.images / found.seconds
        ratio = "" if case.source == "prepare" else f"{speed * peer.seconds / peer.images:.1f}"
        row = {
            **asdict(case),
            "size": a.size,
            "batch_size": a.batch_size,
            "images_per_second": f"{speed:.0f}",
            "images_per_cpu_second": f"{found.images / found.cpu_seconds:.0f}",
            "times_raw_files_speed": ratio,
            "seconds": f"{found.seconds:.1f}",
            "peak_mib": f"{found.peak_mib:.0f}",
        }
        shown = [value for key, value in row.items() if key not in ("size", "batch_size")]
        table.add_row(*map(str, shown))
        rows.append({**row, "machine": machine, "command": command})
    write_rows(a.out, rows)
    Console(width=150).print(table, machine, sep="\n")


if __name__ == "__main__":
    main()
