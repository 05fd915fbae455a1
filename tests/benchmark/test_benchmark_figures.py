"""Drawings of a report: what they show of known results."""

import numpy as np
import pytest
import stored
from matplotlib.figure import Figure
from stored import write_benchmark

from dermseg.benchmark.figures import (
    calibrations,
    cost_drawing,
    disagreement_drawing,
    scores_drawing,
    system_styles,
)
from dermseg.benchmark.figures_images import Pictures, chosen_images, images_drawing
from dermseg.benchmark.figures_ranks import (
    cliques,
    draw_critical_difference,
    ranks_drawing,
    stability_drawing,
)
from dermseg.benchmark.figures_training import (
    all_training_drawing,
    draw_band,
    training_drawing,
    versions_drawing,
    versions_training_drawing,
)
from dermseg.benchmark.plan import cell_folder
from dermseg.benchmark.report_analysis import analyse
from dermseg.benchmark.report_published import published
from dermseg.benchmark.report_results import read_results

SKILL = {"unet": 0.7, "vm_unet": 0.95, "unext": 0.9}


@pytest.fixture
def analysis(tmp_path):
    write_benchmark(tmp_path, SKILL)
    return analyse(read_results(tmp_path))


def words(figure):
    return {found.get_text() for found in figure.findobj(lambda artist: hasattr(artist, "get_text"))}


def test_scores_show_every_system_and_the_human_band(analysis):
    drawing = scores_drawing(analysis)
    drawing.figure.draw_without_rendering()
    assert set(SKILL) <= words(drawing.figure)
    low, high = published().humans["dice"]
    band = (
        drawing.figure.axes[0]
        .patches[0]
        .get_extents()
        .transformed(drawing.figure.axes[0].transData.inverted())
    )
    assert (band.x0, band.x1) == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("ranks", "difference", "expected"),
    [
        ([1, 2, 3], 0.5, []),
        ([1, 1.4, 3], 0.5, [(0, 1)]),
        ([1, 1.4, 1.8, 4], 0.5, [(0, 1), (1, 2)]),
        ([1, 1.1, 1.2, 1.3], 0.5, [(0, 3)]),
        ([1, 1.1, 1.55, 3, 3.1], 0.5, [(0, 1), (1, 2), (3, 4)]),
    ],
)
def test_cliques_are_the_longest_runs_that_do_not_differ(ranks, difference, expected):
    assert cliques(ranks, difference) == expected


def test_the_diagram_names_all_systems_with_their_ranks():
    figure = Figure()
    draw_critical_difference(figure.subplots(), ["a", "b", "c"], np.array([2.5, 1.0, 2.5]), 0.8)
    found = {text.strip() for text in words(figure)}
    assert {"a  2.50", "b  1.00", "c  2.50", "CD 0.80"} <= found


def test_ranks_need_three_systems(analysis, tmp_path):
    assert ranks_drawing(analysis.compared) is not None
    write_benchmark(tmp_path / "two", {"unet": 0.8, "unext": 0.9})
    assert ranks_drawing(analyse(read_results(tmp_path / "two")).compared) is None


def test_the_most_stable_system_comes_first(analysis):
    figure = stability_drawing(analysis.compared).figure
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["vm_unet", "unext", "unet"]


def test_bands_hold_all_curves_over_the_epochs_they_share():
    axes = Figure().subplots()
    draw_band(axes, [{1: 0.0, 2: 4.0, 3: 9.0}, {1: 2.0, 2: 0.0}], "#ff0000", "x")
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[1, 1], [2, 2]])
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (0, 4)


def test_training_is_that_of_the_paper_s_network_where_it_was_run(analysis, tmp_path):
    assert "vm_unet" in training_drawing(analysis).title
    write_benchmark(tmp_path / "other", {"xlstm_vmunet": 0.5, "unet": 0.9})
    other = analyse(read_results(tmp_path / "other"))
    assert "xlstm_vmunet" in training_drawing(other).title
    assert set(SKILL) <= words(all_training_drawing(analysis).figure)


def test_versions_are_drawn_where_they_were_run(analysis, tmp_path):
    assert versions_drawing(analysis) is None
    assert versions_training_drawing(analysis) is None
    word = "xlstm_vmunet+xlstm_layers="
    write_benchmark(tmp_path / "versions", {f"{word}s": 0.8, f"{word}sm": 0.9})
    versions = analyse(read_results(tmp_path / "versions"))
    assert {"Ver 2", "Ver 4"} <= words(versions_training_drawing(versions).figure)
    assert "printed in the paper" in words(versions_drawing(versions).figure)


def test_costs_are_left_out_where_none_were_stored(analysis):
    assert "parameters, million" in words(cost_drawing(analysis).figure)
    for cell in analysis.results.cells:
        (cell.folder / "cell.json").unlink()
    assert cost_drawing(analyse(read_results(analysis.results.folder))) is None


def test_many_systems_are_told_apart(tmp_path):
    write_benchmark(tmp_path, {f"unet+width={width}": 0.9 for width in range(2, 16)}, images=3)
    styles = system_styles(analyse(read_results(tmp_path))).values()
    assert len({tuple(style.values()) for style in styles}) == 14


def test_disagreement_counts_failures(analysis):
    drawing = disagreement_drawing(analysis.compared)
    bars = [bar.get_height() for bar in drawing.figure.axes[1].patches]
    failing = (analysis.compared.iou < 0.65).sum(axis=1)
    assert bars == [(failing == count).sum() for count in (1, 2, 3)]


def test_an_iou_at_the_threshold_is_no_failure(tmp_path, monkeypatch):
    scores = stored.image_scores
    at_threshold = {"dice": 26 / 33, "iou": 13 / 20}
    monkeypatch.setattr(stored, "image_scores", lambda *of: scores(*of) | at_threshold)
    write_benchmark(tmp_path, SKILL)
    drawing = disagreement_drawing(analyse(read_results(tmp_path)).compared)
    assert "No system fails on 24 of the images" in drawing.caption


def test_calibration_adds_the_cells_up(analysis):
    found = calibrations(analysis)
    assert set(found) == set(SKILL)
    assert found["unet"].count.sum() == 3 * 40 * 40
    path = cell_folder(analysis.results.folder, analysis.results.cells[0].cell) / "calibration.json"
    path.unlink()
    assert calibrations(analysis)["unet"].count.sum() == 2 * 40 * 40


def test_images_are_chosen_by_rule(analysis):
    compared = analysis.compared
    chosen = chosen_images(compared)
    mean = dict(zip(compared.identifiers, compared.dice.mean(axis=1), strict=True))
    assert chosen["best"] == max(mean, key=mean.__getitem__)
    assert chosen["worst"] == min(mean, key=mean.__getitem__)
    assert sorted(mean.values()).index(mean[chosen["median"]]) == 12
    spread = dict(zip(compared.identifiers, compared.dice.std(axis=1), strict=True))
    assert chosen["most disagreement"] == max(spread, key=spread.__getitem__)


def test_without_images_no_picture_is_drawn(analysis):
    assert images_drawing(analysis, Pictures(missing="gone")) is None
