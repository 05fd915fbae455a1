"""Drawings of ranks: the critical-difference diagram, and which places systems take in resampled images."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dermseg.benchmark.figures import WIDTH, Drawing
from dermseg.benchmark.report_analysis import Compared
from dermseg.benchmark.tables import significance


def ranks_drawing(compared: Compared) -> Drawing | None:
    """Draw the critical-difference diagram (Demšar, 2006); None for fewer than three systems."""
    if compared.ranks is None:
        return None
    statistic, p, ranks = compared.ranks
    half = -(-len(ranks) // 2)
    figure = Figure(figsize=(WIDTH, 1.3 + 0.24 * half), layout="constrained")
    draw_critical_difference(figure.subplots(), compared.labels, ranks, compared.critical_difference)
    return Drawing(
        "ranks",
        "Critical-difference diagram",
        f"Mean ranks by Dice over {len(compared.identifiers):,} images; 1 is the best. Bars join systems "
        "whose ranks differ by less than the critical difference (CD, Nemenyi, 5 %). Friedman's test: "
        f"chi-square {statistic:,.1f}, p {significance(p) if p < 1e-4 else '= ' + significance(p)}.",
        figure,
    )


def cliques(ranks: Sequence[float], difference: float) -> list[tuple[int, int]]:
    """Find the longest runs of systems that do not differ.

    Args:
        ranks: Mean ranks, ascending.
        difference: Ranks closer than this do not differ.

    Returns:
        First and last index of every run of two or more that no other run holds.
    """
    runs: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = max(index for index in range(first, len(ranks)) if ranks[index] - ranks[first] < difference)
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs


def draw_critical_difference(
    axes: Axes, labels: Sequence[str], ranks: NDArray[np.float64], difference: float
) -> None:
    """Draw a scale of ranks with the systems hanging from it: the better half left, the others right."""
    order = np.argsort(ranks, kind="stable")
    ascending = ranks[order].tolist()
    count = len(ascending)
    runs = cliques(ascending, difference)
    left = -(-count // 2)
    beneath = 0.6 + 0.35 * len(runs)
    axes.plot([1, count], [0, 0], color="black", linewidth=1)
    for rank in range(1, count + 1):
        axes.plot([rank, rank], [0, 0.2], color="black", linewidth=1)
        axes.text(rank, 0.35, str(rank), ha="center", va="bottom", fontsize=8)
    margin = 0.04 * (count - 1)
    for place, (number, rank) in enumerate(zip(order.tolist(), ascending, strict=True)):
        on_left = place < left
        depth = beneath + 0.55 * (place if on_left else count - 1 - place)
        end = 1 - margin if on_left else count + margin
        axes.plot([rank, rank, end], [0, -depth, -depth], color="black", linewidth=0.8)
        words = f"{labels[number]}  {rank:.2f}"
        gap = 0.01 * (count - 1)
        axes.text(
            end - gap if on_left else end + gap,
            -depth,
            words,
            ha="right" if on_left else "left",
            va="center",
            fontsize=8,
            parse_math=False,
        )
    for level, (first, last) in enumerate(runs):
        height = -0.35 * (level + 1)
        axes.plot([ascending[first], ascending[last]], [height, height], color="#d9630a", linewidth=3)
    axes.plot([1, 1 + difference], [1.3, 1.3], color="#d9630a", linewidth=2)
    axes.text(1, 1.45, f"CD {difference:.2f}", ha="left", va="bottom", fontsize=8)
    room = 0.55 * (count - 1) + 0.1
    axes.set(xlim=(1 - room, count + room), ylim=(-beneath - 0.55 * left, 2.3))
    axes.set_axis_off()


def stability_drawing(compared: Compared) -> Drawing:
    """Draw how often every system takes every place when other images are drawn."""
    count = len(compared.labels)
    order = np.argsort(compared.stability @ np.arange(1, count + 1), kind="stable")
    figure = Figure(figsize=(min(WIDTH, 2.4 + 0.35 * count), 0.9 + 0.2 * count), layout="constrained")
    axes = figure.subplots()
    shares = 100 * compared.stability[order]
    heat = axes.imshow(shares, cmap="viridis", vmin=0, vmax=100, aspect="auto")
    axes.set_xticks(range(count), [str(place) for place in range(1, count + 1)], fontsize=8)
    axes.set_yticks(range(count), [compared.labels[number] for number in order], fontsize=8, parse_math=False)
    axes.set_xlabel("place by mean Dice")
    figure.colorbar(heat, ax=axes, label="% of 9,999 draws")
    return Drawing(
        "stability",
        "How stable the ranking is",
        "Share of draws of the images, with replacement and lesions as a whole, in which a system takes "
        "a place.",
        figure,
    )
