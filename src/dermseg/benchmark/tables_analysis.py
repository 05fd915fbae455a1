"""The tables that the paper lacks: statistics, all metrics, costs, hard images, and what ran."""

from collections.abc import Mapping, Sequence

import numpy as np

from dermseg.benchmark.report_analysis import Analysis, Compared
from dermseg.benchmark.report_results import AVERAGED
from dermseg.benchmark.tables import Column, Table, Value
from dermseg.evaluation.metrics import METRICS

WORST = 5
"""Worst images listed of every system."""
DISPUTED = 15
"""Images listed on which systems disagree."""


def comparison_table(compared: Compared) -> Table:
    """Compare every system with the best, image by image."""
    ranks = compared.ranks
    rows: list[Mapping[str, Value]] = []
    order = np.argsort(-compared.dice.mean(axis=0), kind="stable")
    for number in order.tolist():
        label = compared.labels[number]
        row: dict[str, Value] = {"system": label, "dice": float(compared.dice[:, number].mean())}
        if label in compared.comparisons:
            found = compared.comparisons[label]
            row |= {
                "difference": found.difference,
                "p": found.p,
                "p_holm": found.p_holm,
                "effect": found.effect_size,
            }
        row["rank"] = None if ranks is None else float(ranks[2][number])
        row["first"] = float(compared.stability[number, 0])
        rows.append(row)
    return Table(
        "comparison",
        f"Every system against the best, {compared.best}",
        f"Per-image Dice of the {len(compared.identifiers):,} images that all {len(compared.labels)} systems "
        "were tested on. p: paired Wilcoxon signed-rank test, two-sided; Holm: adjusted for the number of "
        "systems. Effect: matched-pairs rank-biserial correlation, -1 where the best wins on every image. "
        "Places first: share of 9,999 draws of the images in which the system has the best mean."
        + (f" Left out, with other folds: {', '.join(compared.left_out)}." if compared.left_out else ""),
        (
            Column("system", "system"),
            Column("dice", "mean Dice", 4, best="highest"),
            Column("difference", "less the best", 4),
            Column("p", "p", p_value=True),
            Column("p_holm", "p (Holm)", p_value=True),
            Column("effect", "effect", 2),
            Column("rank", "mean rank", 2, best="lowest"),
            Column("first", "places first", 1, percent=True),
        ),
        rows,
    )


def metrics_table(analysis: Analysis) -> Table:
    """List every per-image metric of every system."""
    columns = [Column("system", "system")]
    columns += [
        Column(
            name,
            METRICS[name].label,
            1 if name == "failure" or METRICS[name].pixels else 3,
            best="lowest" if METRICS[name].lower_is_better else "highest",
            percent=name == "failure",
        )
        for name in AVERAGED
    ]
    rows: list[Mapping[str, Value]] = [
        {"system": system.label, **analysis.means[system.label]} for system in analysis.ranked()
    ]
    return Table(
        "metrics",
        "All metrics",
        "Means over test images, each at its native resolution; distances in pixels of the image's own size.",
        tuple(columns),
        rows,
    )


def cost_table(analysis: Analysis) -> Table:
    """List what every system costs, beside what it reaches."""
    rows: list[Mapping[str, Value]] = []
    for system in analysis.ranked():
        parameters, operations = system.cost("parameters"), system.cost("multiply_adds")
        memory = system.cost("peak_memory_bytes")
        rows.append(
            {
                "system": system.label,
                "dice": analysis.means[system.label]["dice"],
                "parameters": None if parameters is None else parameters / 1e6,
                "multiply_adds": None if operations is None else operations / 1e9,
                "images_per_second": system.cost("images_per_second"),
                "memory": None if memory is None else memory / 2**20,
                "epoch": system.cost("best_epoch"),
            }
        )
    return Table(
        "costs",
        "Costs",
        "Multiply-adds of one prediction with the scan included. Images per second and peak memory are "
        "medians over the cells, each on the machine it ran on.",
        (
            Column("system", "system"),
            Column("dice", "per-image Dice", 3, best="highest"),
            Column("parameters", "parameters (million)", 2, best="lowest"),
            Column("multiply_adds", "multiply-adds (billion)", 2, best="lowest"),
            Column("images_per_second", "images/s", 1, best="highest"),
            Column("memory", "peak memory (MiB)", 0, best="lowest"),
            Column("epoch", "best epoch", 0),
        ),
        rows,
    )


def worst_table(analysis: Analysis) -> Table:
    """List the worst images of every system."""
    rows: list[Mapping[str, Value]] = []
    for system in analysis.ranked():
        rows += [
            {"system": system.label, "image": identifier, "dice": scores["dice"], "iou": scores["iou"]}
            for identifier, scores in system.worst(WORST)
        ]
    return Table(
        "worst",
        "The worst images of every system",
        "By per-image Dice.",
        (
            Column("system", "system"),
            Column("image", "image"),
            Column("dice", "Dice"),
            Column("iou", "IoU"),
        ),
        rows,
    )


def disputed_table(compared: Compared) -> Table:
    """List the images on which systems disagree most."""
    rows: list[Mapping[str, Value]] = []
    for number in most_disputed(compared)[:DISPUTED]:
        scores = compared.dice[number]
        rows.append(
            {
                "image": compared.identifiers[number],
                "spread": float(scores.std()),
                "highest": float(scores.max()),
                "by": compared.labels[int(scores.argmax())],
                "lowest": float(scores.min()),
                "of": compared.labels[int(scores.argmin())],
            }
        )
    return Table(
        "disputed",
        "Where systems disagree",
        "The images with the largest standard deviation of Dice over systems.",
        (
            Column("image", "image"),
            Column("spread", "standard deviation"),
            Column("highest", "highest Dice"),
            Column("by", "of"),
            Column("lowest", "lowest Dice"),
            Column("of", "of"),
        ),
        rows,
    )


def most_disputed(compared: Compared) -> Sequence[int]:
    """Number the images from the largest spread over systems to the smallest; equal ones by identifier."""
    order: list[int] = np.argsort(-compared.dice.std(axis=1), kind="stable").tolist()
    return order


def grid_table(analysis: Analysis) -> Table:
    """List what was planned and what became of it."""
    rows: list[Mapping[str, Value]] = []
    for system in analysis.results.systems:
        troubles = [f"fold {cell.cell.fold}: {cell.error}" for cell in system.cells if cell.error]
        rows.append(
            {
                "system": system.label,
                "cells": system.progress,
                "images": len(system.images) or None,
                "trouble": "; ".join(troubles),
            }
        )
    return Table(
        "grid",
        "What ran",
        "One cell is one system trained on one fold with one seed.",
        (
            Column("system", "system"),
            Column("cells", "cells done"),
            Column("images", "test images"),
            Column("trouble", "what went wrong"),
        ),
        rows,
    )
