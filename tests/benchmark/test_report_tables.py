"""The paper's tables beside ours, and the other tables of a report."""

from dataclasses import replace

from stored import write_benchmark

from dermseg.benchmark.report_analysis import analyse
from dermseg.benchmark.report_published import published
from dermseg.benchmark.report_results import read_results
from dermseg.benchmark.tables_analysis import (
    comparison_table,
    cost_table,
    disputed_table,
    grid_table,
    metrics_table,
    worst_table,
)
from dermseg.benchmark.tables_paper import HERE, PAPER, POOLED, table_1, table_2


def analysed(tmp_path, skill, **options):
    write_benchmark(tmp_path, skill, **options)
    return analyse(read_results(tmp_path))


def rows_of(table):
    return {row[table.columns[0].key]: row for row in table.rows}


def test_the_paper_is_transcribed():
    known = {"R2U-Net": (0.6790, 0.5810), "UNeXt": (0.9030, 0.8261), "XLSTM-VMUNet": (0.91, 0.8349)}
    rows = {row.name: (row.dice, row.iou) for row in published().table_1}
    assert len(rows) == 17
    assert known.items() <= rows.items()
    assert [(row.key, row.dice) for row in published().table_2] == [
        ("", 0.8975),
        ("s", 0.9013),
        ("m", 0.9098),
        ("sm", 0.9100),
    ]
    assert all(0 < low < high < 1 for low, high in published().humans.values())


def test_table_1_keeps_the_paper_and_ours_apart(tmp_path):
    table = table_1(analysed(tmp_path, {"unet": 0.8, "u_mamba": 0.9, "unet+width=8": 0.7}))
    assert {column.group for column in table.columns} == {"", PAPER, HERE, POOLED}
    rows = rows_of(table)
    assert rows["U-Net"]["paper_dice"] == 0.8403
    assert rows["U-Net"]["dice"].mean != 0.8403
    assert rows["U-Net"]["cells"] == "3 of 3"
    assert "paper_dice" not in rows["u_mamba"]
    assert "paper_dice" not in rows["unet+width=8"]
    assert rows["UNeXt"] == {
        "name": "UNeXt",
        "paper_dice": 0.9030,
        "paper_iou": 0.8261,
        "cells": "not in this grid",
    }
    assert list(rows)[:17] == [row.name for row in published().table_1]


def test_table_1_says_where_another_form_of_a_system_stands(tmp_path):
    rows = rows_of(table_1(analysed(tmp_path, {"unet+width=8": 0.7, "xlstm_vmunet+xlstm_layers=s": 0.8})))
    assert rows["U-Net"]["cells"] == "in another form only, below"
    assert rows["XLSTM-VMUNet"]["cells"] == "in another form only, Table 2"
    assert rows["UNeXt"]["cells"] == "not in this grid"


def test_captions_say_what_was_measured_on(tmp_path):
    analysis = analysed(tmp_path, {"unet": 0.8})
    for table in (table_1(analysis), table_2(analysis)):
        assert "made_up, 24 images, all of 40 x 40 pixels" in table.caption
        assert "2,594" not in table.caption
    data = replace(analysis.results.plan.data, name="isic2018_task1")
    results = replace(analysis.results, plan=replace(analysis.results.plan, data=data))
    assert "2,594" in table_1(replace(analysis, results=results)).caption


def test_a_system_that_was_planned_but_not_run_is_empty_and_says_so(tmp_path):
    skip = [("unext", fold) for fold in (1, 2, 3)]
    rows = rows_of(table_1(analysed(tmp_path, {"unet": 0.8, "unext": 0.9}, skip=skip)))
    assert rows["UNeXt"]["cells"] == "not run"
    assert "dice" not in rows["UNeXt"]


def test_table_2_has_the_four_versions_and_every_other_form(tmp_path):
    word = "xlstm_vmunet+xlstm_layers="
    skill = {word: 0.8, f"{word}s": 0.85, "xlstm_vmunet": 0.9, f"{word}m+fusion=rows": 0.7}
    table = table_2(analysed(tmp_path, skill))
    rows = [(row["name"], row["others"], row["cells"]) for row in table.rows]
    assert rows == [
        ("Ver 1", "default", "3 of 3"),
        ("Ver 2", "default", "3 of 3"),
        ("Ver 3", "default", "not in this grid"),
        ("Ver 4", "default", "3 of 3"),
        ("Ver 3", "fusion rows", "3 of 3"),
    ]
    assert table.rows[0]["paper_dice"] == 0.8975
    assert "paper_dice" not in table.rows[4]
    assert [row["slstm"] for row in table.rows[:4]] == ["no", "yes", "no", "yes"]


def test_comparisons_are_ordered_and_the_best_has_none_with_itself(tmp_path):
    analysis = analysed(tmp_path, {"unet": 0.7, "vm_unet": 0.95, "unext": 0.9})
    table = comparison_table(analysis.compared)
    assert [row["system"] for row in table.rows] == ["vm_unet", "unext", "unet"]
    assert "p" not in table.rows[0]
    assert table.rows[2]["effect"] == -1
    assert table.rows[2]["difference"] < table.rows[1]["difference"] < 0


def test_the_worst_images_are_the_worst(tmp_path):
    analysis = analysed(tmp_path, {"unet": 0.8})
    rows = worst_table(analysis).rows
    system = analysis.results.systems[0]
    assert [row["dice"] for row in rows] == sorted(system.values("dice"))[:5]
    assert all(system.images[row["image"]]["dice"] == row["dice"] for row in rows)


def test_disputed_images_name_both_ends(tmp_path):
    compared = analysed(tmp_path, {"unet": 0.7, "unext": 0.9}).compared
    row = disputed_table(compared).rows[0]
    place = compared.identifiers.index(row["image"])
    assert compared.dice.std(axis=1).argmax() == place
    assert (row["by"], row["of"]) == ("unext", "unet")
    assert row["highest"] > row["lowest"]


def test_costs_and_metrics_and_grid(tmp_path):
    analysis = analysed(tmp_path, {"unet": 0.5, "unext": 0.9}, skip=[("unet", 1)])
    costs = rows_of(cost_table(analysis))
    assert costs["unet"]["parameters"] == 2.0
    assert costs["unet"]["multiply_adds"] == 1.0
    assert costs["unet"]["memory"] == 256
    metrics = metrics_table(analysis)
    assert {column.key for column in metrics.columns} >= {"hd95", "assd", "nsd", "specificity"}
    assert metrics.strong["hd95"] == min(row["hd95"] for row in metrics.rows)
    assert rows_of(grid_table(analysis))["unet"]["cells"] == "2 of 3 (1 not run)"
