"""Reading stored results, and the statistics over them."""

import json
from pathlib import Path

import numpy as np
import pytest
from stored import write_benchmark

from dermseg.benchmark.plan import cell_folder, split_file
from dermseg.benchmark.report_analysis import analyse
from dermseg.benchmark.report_results import read_results
from dermseg.benchmark.state import State, write_state
from dermseg.errors import DataError
from dermseg.evaluation.statistics import compare_with_best, mean_interval

SKILL = {"unet": 0.8, "vm_unet": 0.95, "unext": 0.9}


def test_every_image_is_scored_once_over_the_folds(tmp_path):
    write_benchmark(tmp_path, SKILL)
    for system in read_results(tmp_path).systems:
        assert list(system.images) == [f"ISIC_{number:04}" for number in range(24)]
        assert system.progress == "3 of 3"


def test_seeds_are_averaged_per_image_and_pooled_over_all(tmp_path):
    write_benchmark(tmp_path, {"unet": 0.8}, seeds=2)
    system = read_results(tmp_path).systems[0]
    one, other = [cell for cell in system.done if cell.cell.fold == 1]
    scores = [cell.scores["dice"][cell.identifiers.index(one.identifiers[0])] for cell in (one, other)]
    assert scores[0] != scores[1]
    assert system.images[one.identifiers[0]]["dice"] == pytest.approx(np.mean(scores))
    tp, fp, fn = (sum(cell.scores[name].sum() for cell in system.done) for name in ("tp", "fp", "fn"))
    assert system.pooled().dice == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert system.pooled().iou == pytest.approx(tp / (tp + fp + fn))


def test_an_image_with_more_seeds_than_others_weighs_as_they_do(tmp_path):
    plan = write_benchmark(tmp_path, {"unet": 0.8}, seeds=2)
    write_state(cell_folder(tmp_path, plan.cell("unet", 1, 1)), State("running"))
    system = read_results(tmp_path).systems[0]
    assert system.progress == "5 of 6 (1 unfinished)"
    tp, fp, fn = (
        sum(cell.scores[name].sum() / (1 if cell.cell.fold == 1 else 2) for cell in system.done)
        for name in ("tp", "fp", "fn")
    )
    assert system.pooled().dice == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert system.pooled().iou == pytest.approx(tp / (tp + fp + fn))


def test_what_has_not_run_is_named_and_does_not_count(tmp_path):
    plan = write_benchmark(tmp_path, SKILL, skip=[("unet", 1), ("unet", 2), ("unet", 3), ("unext", 2)])
    failed = plan.cell("unet", 1, 0)
    write_state(cell_folder(tmp_path, failed), State("failed", error="the loss became nan"))
    write_state(cell_folder(tmp_path, plan.cell("unet", 2, 0)), State("running"))
    unet, _, unext = read_results(tmp_path).systems
    assert unet.progress == "0 of 3 (1 failed, 1 not run, 1 unfinished)"
    assert unet.cells[0].error == "the loss became nan"
    assert unext.progress == "2 of 3 (1 not run)"
    assert len(unext.images) == 16


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:0],
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("dice", "dise"),
        lambda text: text + text.splitlines()[1] + "\n",
        lambda text: text.replace("\n", "\nISIC_9,x,x\n", 1),
        lambda text: text.replace(text.splitlines()[1].split(",")[3], "nan"),
        lambda text: "\0" + text,
        lambda text: changed(text, dice="5.0"),
        lambda text: changed(text, iou="-0.1"),
        lambda text: changed(text, hd95="-1"),
        lambda text: changed(text, tp="1.5"),
        lambda text: changed(text, tp="100000"),
        lambda text: changed(text, identifier="ISIC_9999"),
        lambda text: "".join(text.splitlines(keepends=True)[:2]),
    ],
)
def test_a_damaged_cell_is_left_out_with_the_reason(tmp_path, damage):
    plan = write_benchmark(tmp_path, SKILL)
    path = cell_folder(tmp_path, plan.cell("unet", 2, 0)) / "per_image.csv"
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    unet = read_results(tmp_path).systems[0]
    assert unet.progress == "2 of 3 (1 damaged)"
    assert "per_image.csv" in unet.cells[1].error


def changed(text, **values):
    """Set values in the first line of a table."""
    heading, first, *rest = text.splitlines()
    row = dict(zip(heading.split(","), first.split(","), strict=True)) | values
    return "\n".join([heading, ",".join(row.values()), *rest]) + "\n"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda _: "[]",
        *(
            lambda text, value=value: json.dumps(json.loads(text) | {"parameters": value})
            for value in (-5, "abc", float("nan"), 10**400, [1])
        ),
    ],
)
def test_damaged_facts_of_a_cell_leave_it_out_with_the_reason(tmp_path, damage):
    plan = write_benchmark(tmp_path, SKILL)
    path = cell_folder(tmp_path, plan.cell("unet", 2, 0)) / "cell.json"
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    unet = read_results(tmp_path).systems[0]
    assert unet.progress == "2 of 3 (1 damaged)"
    assert "cell.json" in unet.cells[1].error
    assert "delete the folder of the cell" in unet.cells[1].error


def test_a_cell_whose_split_is_lost_cannot_be_checked(tmp_path):
    write_benchmark(tmp_path, {"unet": 0.8})
    split_file(tmp_path, 2).unlink()
    unet = read_results(tmp_path).systems[0]
    assert unet.progress == "2 of 3 (1 damaged)"
    assert "fold-2.json" in unet.cells[1].error


def test_the_stored_benchmark_of_record_has_no_damage():
    results = read_results(Path(__file__).parents[2] / "results" / "benchmark-reduced")
    assert [cell.error for cell in results.cells if cell.state != "done"] == []


def test_a_folder_without_a_benchmark_is_refused(tmp_path):
    with pytest.raises(DataError, match="no benchmark"):
        read_results(tmp_path)


def test_missing_extras_do_not_matter(tmp_path):
    plan = write_benchmark(tmp_path, {"unet": 0.8})
    for cell in plan.cells():
        (cell_folder(tmp_path, cell) / "cell.json").unlink()
        for name in ("calibration.json", "run/metrics.csv"):
            (cell_folder(tmp_path, cell) / name).write_bytes(b"[\xff")
    system = read_results(tmp_path).systems[0]
    assert system.progress == "3 of 3"
    assert system.cost("parameters") is None
    assert system.done[0].curve == []
    assert system.done[0].calibration is None


def test_statistics_are_those_of_the_evaluation_package(tmp_path):
    write_benchmark(tmp_path, SKILL)
    results = read_results(tmp_path)
    analysis = analyse(results)
    dice = {system.label: system.values("dice") for system in results.systems}
    compared = analysis.compared
    assert compared.best == "vm_unet"
    assert list(compared.comparisons.values()) == compare_with_best(dice)
    assert analysis.intervals["unext"]["dice"] == mean_interval(dice["unext"])
    assert analysis.means["unext"]["dice"] == dice["unext"].mean()
    assert set(analysis.intervals["unext"]) == {"dice", "iou"}
    assert compared.stability[1, 0] > 0.9
    assert [system.label for system in analysis.ranked()] == ["vm_unet", "unext", "unet"]


def test_lesions_are_drawn_as_a_whole(tmp_path):
    groups = [[f"ISIC_{number:04}", f"ISIC_{number + 1:04}"] for number in range(0, 24, 2)]
    write_benchmark(tmp_path, {"unet": 0.8}, groups=groups)
    results = read_results(tmp_path)
    found = analyse(results).intervals["unet"]["dice"]
    assert found == mean_interval(results.systems[0].values("dice"), [number // 2 for number in range(24)])


def test_groups_that_share_an_image_are_one_lesion(tmp_path):
    write_benchmark(tmp_path, {"unet": 0.8}, groups=[["ISIC_0001", "ISIC_0002"], ["ISIC_0005", "ISIC_0002"]])
    results = read_results(tmp_path)
    assert results.clusters(["ISIC_0005", "ISIC_0000", "ISIC_0001"]) == ["ISIC_0001", None, "ISIC_0001"]


def test_only_systems_with_the_same_folds_are_compared(tmp_path):
    write_benchmark(tmp_path, SKILL, skip=[("unext", 2)])
    compared = analyse(read_results(tmp_path)).compared
    assert compared.labels == ("unet", "vm_unet")
    assert compared.left_out == ("unext",)
    assert len(compared.identifiers) == 24
    assert compared.ranks is None


def test_an_unfinished_grid_is_compared_on_the_folds_it_has(tmp_path):
    write_benchmark(tmp_path, SKILL, skip=[(label, fold) for label in SKILL for fold in (1, 2)])
    compared = analyse(read_results(tmp_path)).compared
    assert compared.labels == tuple(SKILL)
    assert compared.folds == (3,)
    assert len(compared.identifiers) == 8


def test_nothing_to_compare(tmp_path):
    write_benchmark(tmp_path / "one", {"unet": 0.8})
    assert analyse(read_results(tmp_path / "one")).compared is None
    write_benchmark(tmp_path / "none", SKILL, skip=[(label, fold) for label in SKILL for fold in (1, 2, 3)])
    analysis = analyse(read_results(tmp_path / "none"))
    assert analysis.compared is None
    assert analysis.scored == []
