"""Scores of a card: what its intervals draw."""

from dataclasses import asdict

import numpy as np
import pytest

from dermseg.card.scores import METRICS, by_size, read_rows, summarise
from dermseg.data.splits import load_split
from dermseg.evaluation.statistics import bca_interval, intervals, mean_interval

TWINS = load_split("isic2018-2094").origin["kept_together"][0]
"""Two images of one lesion, by the package's own list."""
ALONE = [f"image_{number}" for number in range(10)]


@pytest.fixture
def table(tmp_path, monkeypatch):
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


def test_images_of_one_lesion_are_drawn_together(table):
    rows = read_rows(table([*TWINS, *ALONE]))
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


def test_images_that_share_no_lesion_are_drawn_alone(table):
    rows = read_rows(table([TWINS[0], *ALONE]))
    found = summarise(rows)
    assert found["intervals_over"] == "images"
    assert found["per_image"]["dice"] == asdict(mean_interval([row.values["dice"] for row in rows]))
