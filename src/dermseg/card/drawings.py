"""The drawings of a model card's page, from its facts."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from dermseg.card.sections import Facts
from dermseg.evaluation.calibration import Calibration

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = ("#0a9d86", "#d1495b", "#3a7ca5", "#edae49", "#8d6bb8")
"""Seen on white and on black."""
_LINES = ("-", "--", ":")


def robustness(facts: Facts) -> "Figure":
    """Dice over the levels of every change, weakest first."""
    measured = facts["effects"]
    figure = _figure(7.0, 3.4)
    axes = figure.subplots()
    changes = list(dict.fromkeys(entry["change"] for entry in measured["robustness"]))
    for number, change in enumerate(changes):
        dice = [entry["dice"] for entry in measured["robustness"] if entry["change"] == change]
        axes.plot(
            range(len(dice) + 1),
            [measured["dice"], *dice],
            color=_COLOURS[number % len(_COLOURS)],
            linestyle=_LINES[number // len(_COLOURS) % len(_LINES)],
            marker="o",
            markersize=3,
            label=change,
        )
    axes.set_xticks(range(4), ["none", "weak", "middle", "strong"])
    axes.set_ylabel("mean per-image Dice")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def reliability(facts: Facts) -> "Figure":
    """Share of lesion over predicted probability, for every data set that was scored."""
    figure = _figure(4.5, 4.0)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1)
    for number, scores in enumerate(facts["scores"]):
        counts = scores["reliability"]
        if counts is None:
            continue
        axes.plot(
            *Calibration.from_json(counts, f"The reliability of {scores['title']}").curve(),
            color=_COLOURS[number % len(_COLOURS)],
            marker="o",
            markersize=3,
            label=scores["title"].split(",")[0],
        )
    axes.set_xlabel("predicted probability of lesion")
    axes.set_ylabel("share of pixels that are lesion")
    axes.legend(frameon=False, fontsize=8)
    return figure


def coverage(facts: Facts) -> "Figure":
    """Mean Dice of the images of which most is expected, over their share."""
    points = facts["calibration"]["risk_coverage"]
    figure = _figure(4.5, 3.2)
    axes = figure.subplots()
    axes.plot([point["share"] for point in points], [point["dice"] for point in points], color=_COLOURS[0])
    axes.set_xlabel("share of images kept")
    axes.set_ylabel("mean per-image Dice")
    return figure


DRAWINGS: Mapping[str, tuple[Callable[[Facts], "Figure"], str]] = {
    "robustness": (robustness, "Dice over the strength of each change"),
    "reliability": (reliability, "Share of lesion over predicted probability"),
    "coverage": (coverage, "Dice over the share of images kept"),
}
"""By name: what draws it, and what it shows in words."""


def _figure(width: float, height: float) -> "Figure":
    # Here, since matplotlib takes a while to import; the object interface needs no display.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
