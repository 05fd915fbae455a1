"""The paper's Tables 1 and 2: what it prints, and beside it, in columns of their own, what we measured."""

from collections.abc import Mapping

from dermseg.benchmark.report_analysis import Analysis
from dermseg.benchmark.report_published import PaperRow, published
from dermseg.benchmark.report_results import Results, SystemResult
from dermseg.benchmark.tables import Column, Table, Value

NETWORK = "xlstm_vmunet"
"""The paper's network, whose versions are its ablation."""
LAYERS = "xlstm_layers"
"""The argument of this network that tells the versions apart."""
_DEFAULT_LAYERS = "sm"

PAPER = "printed in the paper"
HERE = "measured here, per image"
POOLED = "measured here, pooled"
_ISIC, _ISIC_IMAGES = "isic2018_task1", 2594
"""The training part of ISIC 2018 Task 1, which the paper divides."""
_ABSENT = "not in this grid"

_MEASURED = (
    Column("dice", "Dice (95 % interval)", 3, HERE, "highest"),
    Column("iou", "IoU (95 % interval)", 3, HERE, "highest"),
    Column("failure", "IoU < 0.65", 1, HERE, "lowest", percent=True),
    Column("pooled_dice", "Dice", 3, POOLED, "highest"),
    Column("pooled_iou", "IoU", 3, POOLED, "highest"),
    Column("images", "test images"),
    Column("cells", "cells done"),
)
_PRINTED = (
    Column("paper_dice", "DSC", 4, PAPER, "highest"),
    Column("paper_iou", "IoU", 4, PAPER, "highest"),
)


def table_1(analysis: Analysis) -> Table:
    """Set all systems beside the paper's Table 1.

    First come the paper's rows in its order, then what it lacks; its network's variants are in Table 2.
    """
    plain = {
        system.system.model: system
        for system in analysis.results.systems
        if not system.system.model_arguments
    }
    forms = {system.system.model for system in analysis.results.systems}
    rows: list[Mapping[str, Value]] = []
    for row in published().table_1:
        absent = _ABSENT
        if row.key in forms:
            absent = f"in another form only, {'Table 2' if row.key == NETWORK else 'below'}"
        rows.append({"name": row.name, **_printed(row), **_measured(analysis, plain.get(row.key), absent)})
    named = {row.key for row in published().table_1}
    rows += [
        {"name": system.label, **_measured(analysis, system)}
        for system in analysis.results.systems
        if system.system.model != NETWORK
        and (system.system.model_arguments or system.system.model not in named)
    ]
    return Table(
        "table-1",
        "Systems (Table 1)",
        "The paper's numbers come from other images, splits and ways of averaging than ours: compare within "
        f"a group of columns, never across. Empty cells were not run. {_sources(analysis)}",
        (Column("name", "system"), *_PRINTED, *_MEASURED),
        rows,
    )


def versions(analysis: Analysis) -> dict[str, dict[str, SystemResult]]:
    """Group the versions of the paper's network by what else sets them apart.

    Returns:
        The other arguments, as text ("" for the defaults), to `xlstm_layers` to system.
    """
    groups: dict[str, dict[str, SystemResult]] = {"": {}}
    for system in analysis.results.systems:
        if system.system.model == NETWORK:
            others = dict(system.system.model_arguments)
            layers = str(others.pop(LAYERS, _DEFAULT_LAYERS))
            key = ", ".join(f"{name} {value}" for name, value in sorted(others.items()))
            groups.setdefault(key, {})[layers] = system
    return groups


def table_2(analysis: Analysis) -> Table:
    """Set the versions of the paper's network beside its Table 2."""
    rows: list[Mapping[str, Value]] = []
    for others, systems in versions(analysis).items():
        for row in published().table_2:
            if others and row.key not in systems:
                continue
            rows.append(
                {
                    "name": row.name,
                    "slstm": "yes" if "s" in row.key else "no",
                    "mlstm": "yes" if "m" in row.key else "no",
                    "others": others or "default",
                    # The paper has one form; beside the variants its numbers would say nothing.
                    **({} if others else _printed(row)),
                    **_measured(analysis, systems.get(row.key)),
                }
            )
    return Table(
        "table-2",
        "Versions of XLSTM-VMUNet (Table 2)",
        f"What the sLSTM and the mLSTM add. Empty cells were not run. {_sources(analysis)}",
        (
            Column("name", "version"),
            Column("slstm", "sLSTM"),
            Column("mlstm", "mLSTM"),
            Column("others", "form"),
            *_PRINTED,
            *_MEASURED,
        ),
        rows,
    )


def about_the_images(results: Results) -> str:
    """Say what was measured on, and how that differs from what the paper and others report of ISIC 2018."""
    data, sizes = results.plan.data, results.sizes
    words = f"Measured: {data.name}, {data.images:,} images"
    if len(sizes) == 1:
        height, width = next(iter(sizes))
        words += f", all of {width} x {height} pixels"
    if data.name == _ISIC and (data.images != _ISIC_IMAGES or len(sizes) == 1):
        words += f"; published scores come from the full frames of {_ISIC_IMAGES:,}, so do not compare digits"
    return f"{words}."


def _sources(analysis: Analysis) -> str:
    return f"{about_the_images(analysis.results)} Printed: {published().paper_source}"


def _printed(row: PaperRow) -> dict[str, Value]:
    return {"paper_dice": row.dice, "paper_iou": row.iou}


def _measured(analysis: Analysis, system: SystemResult | None, absent: str = _ABSENT) -> dict[str, Value]:
    if system is None:
        return {"cells": absent}
    if not system.done:
        return {"cells": system.progress}
    pooled = system.pooled()
    return {
        **analysis.intervals[system.label],
        "failure": analysis.means[system.label].get("failure"),
        "pooled_dice": pooled.dice,
        "pooled_iou": pooled.iou,
        "images": len(system.images),
        "cells": system.progress,
    }
