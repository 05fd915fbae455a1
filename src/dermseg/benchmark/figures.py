"""The drawings of a report: scores with intervals, accuracy against cost, disagreement, calibration.

Black on nothing, so that a page can give them its own colour; other colours are seen on white and on black.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from dermseg.benchmark.report_analysis import Analysis, Compared
from dermseg.benchmark.report_published import published
from dermseg.evaluation.calibration import Calibration
from dermseg.evaluation.metrics import JACCARD_THRESHOLD, METRICS
from dermseg.evaluation.statistics import MeanInterval
from dermseg.pages import vector

COLOUR = "#0f9d8a"
SECOND = "#d9630a"
BAND = "#8a8f98"
WIDTH = 7.2
"""Inches: the text of a page of two columns."""
_WIDE = 5.0
"""Ratio of the largest cost to the smallest beyond which an axis is logarithmic."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure with its caption."""

    name: str
    """Of its files."""
    title: str
    caption: str
    figure: Figure

    @cached_property
    def svg(self) -> str:
        """The figure as an SVG document."""
        return vector(self.figure, self.name)


def scores_drawing(analysis: Analysis) -> Drawing:
    """Draw the mean Dice and IoU of every system with their intervals and the human band."""
    systems = analysis.ranked()[::-1]
    figure = Figure(figsize=(WIDTH, 1.2 + 0.26 * len(systems)), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2, sharey=True), ("dice", "iou"), strict=True):
        for height, system in enumerate(systems):
            draw_mean(axes, analysis.intervals[system.label][name], height)
        human_band(axes, name)
        tidy(axes)
        axes.set_xlabel(f"per-image {METRICS[name].label}")
        axes.set_yticks(range(len(systems)), [system.label for system in systems], parse_math=False)
        axes.grid(axis="x", alpha=0.3)
    return Drawing(
        "scores",
        "Scores with intervals",
        "Means over images at native resolution with 95 % BCa bootstrap intervals, lesions drawn as a whole. "
        f"Grey band: {published().humans_source}",
        figure,
    )


def cost_drawing(analysis: Analysis) -> Drawing | None:
    """Draw what systems reach against what they cost; None where no cost was stored."""
    costs = {
        "multiply_adds": ("multiply-adds, billion", 1e9),
        "parameters": ("parameters, million", 1e6),
        "images_per_second": ("images per second", 1.0),
    }
    found = {
        name: [(system, cost) for system in analysis.ranked() if (cost := system.cost(name))]
        for name in costs
    }
    if not any(found.values()):
        return None
    shown = {name: systems for name, systems in found.items() if systems}
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    styles = system_styles(analysis)
    for axes, (name, systems) in zip(panels, shown.items(), strict=True):
        title, unit = costs[name]
        for system, cost in systems:
            dice = analysis.intervals[system.label]["dice"]
            axes.errorbar(
                cost / unit,
                dice.mean,
                yerr=_errors(dice),
                **_POINT | styles[system.label],
                label=system.label,
            )
        _scale(axes, [cost / unit for _, cost in systems])
        axes.set_xlabel(title)
        tidy(axes)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("per-image Dice")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return Drawing(
        "cost",
        "Accuracy against cost",
        "One prediction at training size. Images per second on the machine of each cell.",
        figure,
    )


def disagreement_drawing(compared: Compared) -> Drawing:
    """Draw how far systems disagree on an image, against how well they do, and how many fail on it."""
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.scatter(
        compared.dice.mean(axis=1), compared.dice.std(axis=1), s=9, color=COLOUR, alpha=0.7, linewidths=0
    )
    left.set(xlabel="mean Dice over systems", ylabel="standard deviation over systems")
    failing = (compared.iou < JACCARD_THRESHOLD).sum(axis=1)
    counts = np.bincount(failing, minlength=len(compared.labels) + 1)
    right.bar(np.arange(1, counts.size), counts[1:], color=COLOUR)
    right.set(xlabel="systems that fail on an image (IoU < 0.65)", ylabel="images")
    right.xaxis.get_major_locator().set_params(integer=True)
    for axes in (left, right):
        tidy(axes)
    return Drawing(
        "disagreement",
        "Where systems disagree",
        f"{len(compared.identifiers):,} images, {len(compared.labels)} systems. "
        f"No system fails on {counts[0]:,} of the images, every system on {counts[-1]:,}.",
        figure,
    )


def calibration_drawing(analysis: Analysis) -> Drawing | None:
    """Draw the reliability curve of every system; None where no probabilities were counted."""
    found = calibrations(analysis)
    if not found:
        return None
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=BAND, linestyle="--", linewidth=1)
    styles = system_styles(analysis)
    for label, calibration in found.items():
        probability, lesion = calibration.curve()
        axes.plot(
            probability,
            lesion,
            **styles[label],
            markersize=3,
            linewidth=1,
            label=f"{label} (ECE {calibration.error:.3f})",
        )
    axes.set(xlabel="predicted probability of lesion", ylabel="share of pixels that are lesion")
    tidy(axes)
    figure.legend(loc="outside right upper", frameon=False)
    return Drawing(
        "calibration",
        "Calibration",
        "Reliability curves over all test pixels pooled, with the expected calibration error (ECE).",
        figure,
    )


def _scale(axes: Axes, costs: Sequence[float]) -> None:
    """Make the lower axis logarithmic where costs differ by so much that it has ticks."""
    if max(costs) > _WIDE * min(costs):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())


def calibrations(analysis: Analysis) -> dict[str, Calibration]:
    """Add up the binned probabilities of every system's cells; systems without any are left out."""
    found: dict[str, Calibration] = {}
    for system in analysis.ranked():
        counted = [counts for cell in system.done if (counts := cell.calibration) is not None]
        if counted:
            found[system.label] = sum(counted, Calibration.none())
    return found


def draw_mean(axes: Axes, interval: MeanInterval, height: float) -> None:
    """Draw a mean as a point and its interval as a line, lying."""
    axes.errorbar(interval.mean, height, xerr=_errors(interval), color=COLOUR, **_POINT)


def human_band(axes: Axes, metric: str) -> None:
    """Shade the range in which two people agree."""
    axes.axvspan(*published().humans[metric], color=BAND, alpha=0.25, linewidth=0)


def tidy(axes: Axes) -> None:
    """Take away the lines that frame nothing."""
    axes.spines[["top", "right"]].set_visible(False)


def system_styles(analysis: Analysis) -> Mapping[str, dict[str, Any]]:
    """Give every system a colour and a marker of its own, the same in all drawings."""
    return {
        system.label: {
            "color": _COLOURS[number % len(_COLOURS)],
            "marker": _MARKERS[number // len(_COLOURS) % len(_MARKERS)],
        }
        for number, system in enumerate(analysis.results.systems)
    }


_POINT: dict[str, Any] = {"marker": "o", "markersize": 4, "capsize": 2, "linewidth": 1.2, "linestyle": "none"}
_MARKERS = ("o", "s", "^", "D", "v")
_COLOURS = (
    *("#0f9d8a", "#d9630a", "#7a6ff0", "#e0409a", "#6aa616", "#d9a400"),
    *("#b07a2a", "#8a8f98", "#e0524d", "#3f8fd9", "#a45bc9", "#35a853"),
)


def _errors(interval: MeanInterval) -> np.ndarray[tuple[int, int], np.dtype[np.float64]] | None:
    if interval.low is None or interval.high is None:
        return None
    return np.array([[interval.mean - interval.low], [interval.high - interval.mean]])
