"""Scores of a card, from the table that an evaluation wrote."""

from dataclasses import asdict

import numpy as np
import pytest

from dermseg.card.scores import METRICS, Row, by_label, by_size, read_rows, summarise
from dermseg.data.pairs import Pair
from dermseg.data.splits import load_split
from dermseg.errors import DataError
from dermseg.evaluation.metrics import pool, score
from dermseg.evaluation.report import per_image_csv
from dermseg.evaluation.results import ScoredImage
from dermseg.evaluation.statistics import bca_interval, intervals, mean_interval

TWINS = load_split("isic2018-2094").origin["kept_together"][0]
"""Two images of one lesion, by the package's own list."""
ALONE = [f"image_{number}" for number in range(10)]


@pytest.fixture
def table(tmp_path):
    """Write the table of three predictions, of lesions that cover 5, 20 and 60 % of 10 x 20 pixels."""
    images = []
    for name, lesion, found in (("a", 10, 10), ("b", 40, 20), ("c", 120, 132)):
        target, prediction = (np.arange(200).reshape(10, 20) < count for count in (lesion, found))
        images.append(ScoredImage(Pair(name, tmp_path / name, tmp_path), 10, 20, score(prediction, target)))
    (tmp_path / "per_image.csv").write_text(per_image_csv(images))
    return tmp_path / "per_image.csv"


def test_a_table_is_read_back(table):
    rows = read_rows(table)
    assert [(row.identifier, row.height, row.width) for row in rows] == [(n, 10, 20) for n in "abc"]
    assert [row.lesion_share for row in rows] == [0.05, 0.2, 0.6]
    assert [row.values["dice"] for row in rows] == pytest.approx([1, 40 / 60, 240 / 252])


def test_a_table_without_a_column_is_named(table):
    table.write_text(table.read_text().replace("hd95", "hd96"))
    with pytest.raises(DataError, match=r"per_image\.csv lacks the columns hd95"):
        read_rows(table)


def test_means_are_over_images_and_pooled_scores_over_pixels(table):
    rows = read_rows(table)
    found = summarise(rows)
    assert (found["images"], found["failures"]) == (3, 1 / 3)
    for name in METRICS:
        expected = mean_interval([row.values[name] for row in rows])
        assert (found["per_image"][name]["mean"], found["per_image"][name]["low"]) == (
            expected.mean,
            expected.low,
        )
    pooled = pool([10, 20, 120], [0, 0, 12], [0, 20, 0])
    assert {name: part["mean"] for name, part in found["pooled"].items()} == {
        "dice": pooled.dice,
        "iou": pooled.iou,
    }
    assert 0.5 <= found["pooled"]["iou"]["low"] < pooled.iou < found["pooled"]["iou"]["high"] <= 1


def test_groups_of_size_begin_at_their_lower_bound(table):
    groups = by_size(read_rows(table))
    assert [(group["group"], group["images"]) for group in groups] == [
        ("5 to 20 %", 1),
        ("20 to 50 %", 1),
        ("above 50 %", 1),
    ]
    assert [group["dice"]["mean"] for group in groups] == pytest.approx([1, 40 / 60, 240 / 252])


def test_a_lesion_that_fills_the_image_has_a_group():
    whole = Row("a", 1, 1, {"dice": 1.0, "tp": 1, "fn": 0})
    assert [group["group"] for group in by_size([whole])] == ["above 50 %"]


def test_images_without_a_label_are_a_group_of_their_own(table):
    groups = by_label(read_rows(table), {"x": "nevus", "c": "melanoma", "a": "melanoma"})
    assert [(group["group"], group["images"]) for group in groups] == [("melanoma", 2), ("unknown", 1)]
    assert groups[0]["dice"]["mean"] == pytest.approx((1 + 240 / 252) / 2)


@pytest.fixture
def named(tmp_path, monkeypatch):
    """Write per_image.csv of named images, each of 100 pixels."""
    monkeypatch.setattr(intervals, "RESAMPLES", 99)

    def write(names):
        rng = np.random.default_rng(0)
        lines = [",".join(("identifier", "height", "width", *METRICS, "tp", "fp", "fn"))]
        for name in names:
            tp, fp, fn = rng.integers(1, 15, 3).tolist()
            scores = dict.fromkeys(METRICS, 2 * tp / (2 * tp + fp + fn)) | {"iou": tp / (tp + fp + fn)}
            lines.append(",".join(map(str, (name, 10, 10, *scores.values(), tp, fp, fn))))
        path = tmp_path / "per_image.csv"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def test_images_of_one_lesion_are_drawn_together(named):
    rows = read_rows(named([*TWINS, *ALONE]))
    together = [0, 0, *range(1, 11)]
    dice = [row.values["dice"] for row in rows]
    found = summarise(rows)
    assert found["intervals_over"] == "lesions"
    assert found["per_image"]["dice"] == asdict(mean_interval(dice, together)) != asdict(mean_interval(dice))

    def pooled(drawn):
        tp, fp, fn = (sum(rows[int(n)].values[key] for n in drawn) for key in ("tp", "fp", "fn"))
        return 2 * tp / (2 * tp + fp + fn)

    ends = bca_interval(np.arange(12.0), pooled, together)
    assert (found["pooled"]["dice"]["low"], found["pooled"]["dice"]["high"]) == (ends.low, ends.high)
    assert found["pooled"]["dice"]["mean"] == pooled(range(12))
    grouped = by_size(rows)
    assert sum(group["images"] for group in grouped) == 12


def test_images_that_share_no_lesion_are_drawn_alone(named):
    rows = read_rows(named([TWINS[0], *ALONE]))
    found = summarise(rows)
    assert found["intervals_over"] == "images"
    assert found["per_image"]["dice"] == asdict(mean_interval([row.values["dice"] for row in rows]))
