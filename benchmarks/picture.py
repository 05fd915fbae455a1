"""Time over length, of a table that `ops.py` wrote, beside what the machine could do at best."""

import csv
import time
from pathlib import Path

import matplotlib as mpl
import torch

from dermseg.costs import operators
from dermseg.files import replacing

STYLES = {"reference": "s:", "mambapy": "^:", "numba": "o-"}


def draw_scaling(table: Path, picture: Path) -> None:
    """Draw S6 at 96 channels, forward and with backward, over the length, with the roofline of the forward.

    Args:
        table: CSV of `ops.py`.
        picture: PNG to write; nothing is written where the table has no lengths to compare.
    """
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["operator"] == "selective_scan"]
    rows = [row for row in rows if (row["channels"], row["states"]) == ("96", "16")]
    if not rows:
        return
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for backend, style in STYLES.items():
        for backward in ("False", "True"):
            found = [row for row in rows if (row["backend"], row["backward"]) == (backend, backward)]
            lengths = [int(row["height"]) * int(row["width"]) for row in found]
            label = f"{backend}, forward{' + backward' if backward == 'True' else ''}"
            color = f"C{len(axes.lines)}"
            if found:
                milliseconds = [float(row["milliseconds"]) for row in found]
                axes.loglog(lengths, milliseconds, style, color=color, label=label)
    lengths = sorted({int(row["width"]) for row in rows})
    bounds = [1e3 * bound for bound in _roofline(lengths)]
    axes.loglog(lengths, bounds, "k--", label="roofline of the forward pass")
    axes.set(xlabel="length L", ylabel="milliseconds", title="S6, 96 channels, N 16, 2 threads")
    axes.grid(which="both", alpha=0.2)
    axes.legend(fontsize="small")
    with replacing(picture) as temporary:
        figure.savefig(temporary, dpi=150, format="png")
    plt.close(figure)


def _roofline(lengths: list[int]) -> list[float]:
    """Seconds below which no kernel comes: the larger of arithmetic and traffic at the speeds measured here.

    Half the counted multiply-adds are reckoned with, as for one step after the other.
    """
    rate, bandwidth = _multiply_adds_per_second(), _bytes_per_second()
    costs = [operators.selective_scan(1, length, 96, 16) for length in lengths]
    return [max(cost.multiply_adds / 2 / rate, cost.bytes / bandwidth) for cost in costs]


def _multiply_adds_per_second(side: int = 2048) -> float:
    a, b = torch.randn(side, side), torch.randn(side, side)
    return side**3 / _least_seconds(lambda: a @ b)


def _bytes_per_second(numbers: int = 2**26) -> float:
    source, target = torch.randn(numbers), torch.empty(numbers)
    return 2 * source.nbytes / _least_seconds(lambda: target.copy_(source))


def _least_seconds(run: object) -> float:
    assert callable(run)
    run()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)
