"""Figures 3, 5 and 6 of the paper: how training went, and what the versions of its network reach."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dermseg.benchmark.figures import COLOUR, SECOND, WIDTH, Drawing, draw_mean, human_band, tidy
from dermseg.benchmark.report_analysis import Analysis
from dermseg.benchmark.report_published import published
from dermseg.benchmark.report_results import SystemResult
from dermseg.benchmark.tables_paper import NETWORK, versions
from dermseg.evaluation.metrics import METRICS

_VERSION_COLOURS = ("#8a8f98", "#7a6ff0", "#d9630a", "#0f9d8a")
_BAND_NOTE = "Lines: mean over cells; shades: from the lowest to the highest cell."


def training_drawing(analysis: Analysis) -> Drawing | None:
    """Draw the training of the paper's network (Figure 3); of the best system where it was not run.

    Returns:
        None where no curve was stored.
    """
    ranked = analysis.ranked()
    plain = [
        system for system in ranked if system.system.model == NETWORK and not system.system.model_arguments
    ]
    chosen = next((system for system in [*plain, *ranked] if _curves(system, "val_loss")), None)
    if chosen is None:
        return None
    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    loss, overlap = figure.subplots(1, 2)
    draw_band(loss, _curves(chosen, "train_loss"), SECOND, "training")
    draw_band(loss, _curves(chosen, "val_loss"), COLOUR, "validation")
    draw_band(overlap, _curves(chosen, "val_dice"), COLOUR, "Dice")
    draw_band(overlap, _curves(chosen, "val_iou"), SECOND, "IoU")
    loss.set(xlabel="epoch", ylabel="loss")
    overlap.set(xlabel="epoch", ylabel="validation, per-image mean")
    for axes in (loss, overlap):
        axes.legend(frameon=False)
    return Drawing(
        "training",
        f"Training of {chosen.label} (Figure 3)",
        f"Validation images, at training size. {_BAND_NOTE}",
        figure,
    )


def all_training_drawing(analysis: Analysis) -> Drawing | None:
    """Draw the validation Dice of every system over the epochs, one small panel each; None without curves."""
    curves = {system.label: found for system in analysis.ranked() if (found := _curves(system, "val_dice"))}
    if not curves:
        return None
    columns = min(4, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(WIDTH, 0.4 + 1.5 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(curves) :]:
        axes.set_axis_off()
    for axes, (label, found) in zip(panels.flat, curves.items(), strict=False):
        draw_band(axes, found, COLOUR, label)
        # A variant's label is longer than its panel is wide.
        axes.set_title(label.replace("+", "\n+"), fontsize=7, parse_math=False)
    figure.supxlabel("epoch", fontsize=9)
    figure.supylabel("validation Dice", fontsize=9)
    return Drawing("training-all", "Training of every system", f"Per-image Dice. {_BAND_NOTE}", figure)


def versions_training_drawing(analysis: Analysis) -> Drawing | None:
    """Draw the training of the four versions of the paper's network (Figure 5); None without curves."""
    systems = _versions(analysis)
    if not any(_curves(system, "val_dice") for system in systems.values()):
        return None
    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    loss, overlap = figure.subplots(1, 2)
    for colour, (name, system) in zip(_VERSION_COLOURS, systems.items(), strict=False):
        draw_band(loss, _curves(system, "val_loss"), colour, name)
        draw_band(overlap, _curves(system, "val_dice"), colour, name)
    loss.set(xlabel="epoch", ylabel="validation loss")
    overlap.set(xlabel="epoch", ylabel="validation Dice, per-image mean")
    overlap.legend(frameon=False)
    return Drawing(
        "versions-training",
        "Training of the versions (Figure 5)",
        f"The four versions of XLSTM-VMUNet. {_BAND_NOTE}",
        figure,
    )


def versions_drawing(analysis: Analysis) -> Drawing | None:
    """Draw what the four versions reach (Figure 6), the paper's numbers in a panel of their own.

    Returns:
        None where no version has scores.
    """
    systems = {name: system for name, system in _versions(analysis).items() if system.done}
    if not systems:
        return None
    names = [row.name for row in published().table_2][::-1]
    figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    for axes, metric in zip(panels, ("dice", "iou"), strict=False):
        for height, name in enumerate(names):
            if name in systems:
                draw_mean(axes, analysis.intervals[systems[name].label][metric], height)
        human_band(axes, metric)
        axes.set_xlabel(f"per-image {METRICS[metric].label}, measured here")
    printed = {row.name: row for row in published().table_2}
    heights = range(len(names))
    panels[2].plot([printed[name].dice for name in names], heights, "D", color=SECOND, label="DSC")
    panels[2].plot(
        [printed[name].iou for name in names], heights, "s", color=SECOND, fillstyle="none", label="IoU"
    )
    panels[2].set_xlabel("printed in the paper")
    panels[2].legend(frameon=False, fontsize=8)
    panels[0].set_yticks(heights, [f"{name} ({_LAYERS[printed[name].key]})" for name in names])
    for axes in panels:
        tidy(axes)
        axes.grid(axis="x", alpha=0.3)
    return Drawing(
        "versions",
        "Versions of XLSTM-VMUNet (Figure 6)",
        "Means over images with 95 % BCa bootstrap intervals; versions without a point were not run. Grey "
        f"band: {published().humans_source} The paper's numbers have no intervals and come from other "
        "images.",
        figure,
    )


def draw_band(axes: Axes, curves: Sequence[Mapping[int, float]], colour: str, label: str) -> None:
    """Draw the mean of curves over the epochs that all of them have, between their extremes.

    Args:
        axes: Where to draw.
        curves: Epoch to value; none draws nothing.
        colour: Of line and shade.
        label: In the legend.
    """
    tidy(axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if not curves:
        return
    epochs = sorted(set.intersection(*(set(curve) for curve in curves)))
    values = np.array([[curve[epoch] for epoch in epochs] for curve in curves])
    axes.plot(epochs, values.mean(axis=0), color=colour, label=label, linewidth=1.4)
    axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0)


_LAYERS = {"": "neither", "s": "sLSTM", "m": "mLSTM", "sm": "both"}


def _versions(analysis: Analysis) -> dict[str, SystemResult]:
    """Give the versions in the paper's own form, by their names there."""
    systems = versions(analysis)[""]
    return {row.name: systems[row.key] for row in published().table_2 if row.key in systems}


def _curves(system: SystemResult, name: str) -> list[dict[int, float]]:
    curves = ({int(row["epoch"]): row[name] for row in cell.curve if name in row} for cell in system.done)
    return [curve for curve in curves if curve]
