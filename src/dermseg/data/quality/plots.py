"""The drawings of a quality report, as inline SVG."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dermseg.data.quality.examination import Examination
from dermseg.data.quality.suspicions import LIGHTER, LOW_CONTRAST
from dermseg.pages import plot

_FILL = "#0f9d8a"
"""Seen on white and on black."""
_LIMIT = "#d9630a"


def area_plot(examination: Examination) -> str:
    """Draw how much of the images the lesions take."""
    shares = [100 * pair.area_share for pair in examination.measures]
    figure, axes = _axes("lesion, % of the image", "images")
    axes.hist(shares, bins=40, range=(0, 100), color=_FILL)
    axes.axvline(float(np.median(shares)), color=_LIMIT, linestyle="--")
    axes.set_title(f"median {np.median(shares):.1f} %", fontsize=10)
    return plot(figure, "areas", "Histogram of the lesions' share of the image")


def size_plot(examination: Examination) -> str:
    """Draw the sizes of the images; a disc grows with the number of images of its size."""
    figure, axes = _axes("width, pixels", "height, pixels")
    sizes = np.array([size for size, _ in examination.sizes])
    counts = np.array([count for _, count in examination.sizes])
    axes.scatter(
        sizes[:, 1], sizes[:, 0], s=20 + 400 * counts / counts.max(), color=_FILL, alpha=0.6, linewidths=0
    )
    axes.set(xlim=(0, sizes[:, 1].max() * 1.15), ylim=(0, sizes[:, 0].max() * 1.15))
    return plot(figure, "sizes", "Widths and heights of the images")


def position_plot(examination: Examination) -> str:
    """Draw where lesions lie: the mean of all masks, and the places of their centres beside it."""
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(4, 1), height_ratios=(1, 4))
    middle = figure.add_subplot(grid[1, 0])
    heat = middle.imshow(
        100 * examination.mean_mask, extent=(0, 100, 100, 0), cmap="viridis", vmin=0, aspect="auto"
    )
    middle.set(xlabel="% of the width", ylabel="% of the height")
    centres = 100 * np.array([pair.centre for pair in examination.measures])
    above = figure.add_subplot(grid[0, 0], sharex=middle)
    above.hist(centres[:, 1], bins=40, range=(0, 100), color=_FILL)
    beside = figure.add_subplot(grid[1, 1], sharey=middle)
    beside.hist(centres[:, 0], bins=40, range=(0, 100), color=_FILL, orientation="horizontal")
    for axes in (above, beside):
        axes.set_axis_off()
    figure.colorbar(heat, ax=[above, middle, beside], label="% of the masks with lesion here", shrink=0.8)
    return plot(figure, "positions", "Heat map of the mean mask, with histograms of the lesions' centres")


def contrast_plots(examination: Examination) -> list[str]:
    """Draw how the colours on both sides of the border differ, with the limits of what is suspicious."""
    colours = [pair.colours for pair in examination.measures if pair.colours is not None]
    return [
        _limited(
            [pair.lightness for pair in colours],
            f"above {LIGHTER:g}",
            LIGHTER,
            "L* inside less outside the border",
            "lightness",
        ),
        _limited(
            [pair.contrast for pair in colours],
            f"below {LOW_CONTRAST:g}",
            LOW_CONTRAST,
            "colour distance across the border",
            "contrast",
        ),
    ]


def _limited(values: Sequence[float], suspicious: str, limit: float, label: str, name: str) -> str:
    figure, axes = _axes(label, "images")
    axes.hist(values, bins=40, color=_FILL)
    axes.axvline(limit, color=_LIMIT, linestyle="--")
    return plot(figure, name, f"Histogram: {label}; suspicious {suspicious}")


def _axes(horizontal: str, vertical: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.6, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=horizontal, ylabel=vertical)
    axes.spines[["top", "right"]].set_visible(False)
    # There is no half of an image, nor of a pixel.
    axes.yaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    return figure, axes
