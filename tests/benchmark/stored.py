"""Stored results of a benchmark, made up: what the report reads, without any training."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dermseg.benchmark.plan import Cell, Data, Plan, cell_folder, split_file, write_plan
from dermseg.benchmark.state import State, write_state
from dermseg.benchmark.systems import System, read_systems
from dermseg.data.splits import k_fold, save_split
from dermseg.evaluation.calibration import Calibration
from dermseg.files import write_json, write_text

SIDE = 40
"""Of the images that scores are made up of."""


def write_benchmark(
    folder: Path,
    skill: Mapping[str, float],
    *,
    images: int = 24,
    folds: int = 3,
    seeds: int = 1,
    skip: Sequence[tuple[str, int]] = (),
    groups: Sequence[Sequence[str]] = (),
) -> Plan:
    """Write a benchmark of which all cells are done, except some.

    Args:
        folder: Of the results.
        skill: System, as one word, to the share of a lesion it finds on the easiest image.
        images: Number of images, ISIC_0000 and so on.
        folds: Number of folds.
        seeds: Number of seeds.
        skip: Systems and folds that have not run.
        groups: Images of one lesion.
    """
    systems = read_systems(list(skill))
    names = [f"ISIC_{number:04}" for number in range(images)]
    plan = Plan(
        name="made up <b>",
        systems=systems,
        epochs={system.label: 3 for system in systems},
        recipe="common",
        folds=folds,
        seeds=seeds,
        data=Data("made_up", "0" * 64, images, str(folder / "nowhere"), "folder", None),
        settings={"size": 32},
        allow_leak=False,
        command="dermseg benchmark run",
        created="2026-11-23T00:00:00+00:00",
    )
    write_plan(folder, plan)
    splits = k_fold(names, folds=folds, groups=groups)
    for fold, split in enumerate(splits, start=1):
        with_groups = type(split)(
            split.name,
            split.train,
            split.validation,
            split.test,
            {"kept_together": [list(g) for g in groups]},
        )
        save_split(with_groups, split_file(folder, fold))
    for cell in plan.cells():
        if (cell.system.label, cell.fold) not in skip:
            write_cell(folder, cell, splits[cell.fold - 1].test, skill[cell.system.label])
    return plan


def write_cell(folder: Path, cell: Cell, identifiers: Sequence[str], skill: float) -> None:
    """Write a cell that is done."""
    target = cell_folder(folder, cell)
    rows = [image_scores(identifier, cell.system, cell.seed, skill) for identifier in identifiers]
    target.mkdir(parents=True, exist_ok=True)
    with (target / "per_image.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    epochs = [
        f"{epoch},0.001,{1 / epoch},{1.2 / epoch},{skill - 0.3 / epoch},{skill - 0.4 / epoch}"
        for epoch in (1, 2, 3)
    ]
    write_text(
        target / "run" / "metrics.csv",
        "\n".join(["epoch,learning_rate,train_loss,val_loss,val_dice,val_iou", *epochs]) + "\n",
    )
    write_json(
        target / "cell.json",
        {
            "parameters": round(1e6 / skill),
            "multiply_adds": round(2e9 * skill),
            "images_per_second": 10 * skill,
            "peak_memory_bytes": 2**28,
            "best_epoch": 3,
            "environment": {"processor": "a processor", "system": "a system", "gpu": None},
        },
    )
    rng = np.random.default_rng(cell.fold)
    probability = rng.random((SIDE, SIDE))
    write_json(
        target / "calibration.json",
        Calibration.of(probability, rng.random((SIDE, SIDE)) < probability).to_json(),
    )
    write_state(target, State("done"))


def image_scores(identifier: str, system: System, seed: int, skill: float) -> dict[str, object]:
    """Make up the scores of an image: the later its number, the harder; a little is the system's own."""
    number = int(identifier.split("_")[1])
    rng = np.random.default_rng([number, seed, *system.label.encode()])
    lesion = 400
    found = int(np.clip(lesion * (skill - 0.01 * number + 0.03 * rng.standard_normal()), 1, lesion))
    wrong = int(rng.integers(0, 60))
    missed = lesion - found
    iou = found / (lesion + wrong)
    return {
        "identifier": identifier,
        "height": SIDE,
        "width": SIDE,
        "dice": 2 * found / (2 * found + wrong + missed),
        "iou": iou,
        "sensitivity": found / lesion,
        "specificity": 1 - wrong / (SIDE * SIDE - lesion),
        "accuracy": 1 - (wrong + missed) / SIDE**2,
        "threshold_jaccard": iou if iou >= 0.65 else 0.0,
        "failure": int(iou < 0.65),
        "hd95": float(wrong + missed) / 10,
        "assd": float(wrong + missed) / 20,
        "nsd": iou,
        "tp": found,
        "fp": wrong,
        "fn": missed,
        "tn": SIDE * SIDE - lesion - wrong,
    }
