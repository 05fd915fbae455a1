import json
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from dermseg.errors import DataError
from dermseg.evaluation import calibration as module
from dermseg.evaluation.calibration import BINS, Calibration, draw_reliability, read_calibration


def drawn(seed, shape=(40, 50), sharpness=1.0):
    """Probabilities, and a target that holds as often as they say if `sharpness` is 1."""
    rng = np.random.default_rng(seed)
    probability = rng.random(shape)
    return probability.astype(np.float32), rng.random(shape) < probability**sharpness


def error_by_definition(probability, target):
    edges = np.arange(BINS + 1) / BINS
    total = 0.0
    for low, high in pairwise(edges):
        held = (probability >= low) & ((probability < high) | ((high == 1) & (probability == 1)))
        if held.any():
            total += held.mean() * abs(target[held].mean() - probability[held].mean(dtype=np.float64))
    return total


@pytest.mark.parametrize("sharpness", [1.0, 0.4, 3.0])
def test_the_error_follows_its_definition_and_torchmetrics(sharpness):
    torchmetrics = pytest.importorskip("torchmetrics.functional.classification")
    torch = pytest.importorskip("torch")
    probability, target = drawn(1, sharpness=sharpness)
    found = Calibration.of(probability, target).error
    assert found == pytest.approx(error_by_definition(probability, target), abs=1e-12)
    wanted = torchmetrics.binary_calibration_error(
        torch.from_numpy(probability.ravel()), torch.from_numpy(target.ravel()).int(), n_bins=BINS
    )
    assert found == pytest.approx(float(wanted), abs=1e-5)


def test_the_ends_and_the_edges_have_their_bins():
    probability = np.array([[0.0, 1.0, 0.2, np.nextafter(0.2, 0)]])
    found = Calibration.of(probability, np.array([[False, True, True, False]]))
    assert found.count.tolist() == [1, 0, 1, 1, *[0] * (BINS - 5), 1]
    assert found.sum_lesion.tolist() == [0, 0, 0, 1, *[0] * (BINS - 5), 1]
    assert found.sum_probability.sum() == pytest.approx(1.4)


def test_images_add_up_to_the_pixels_of_all_however_they_are_cut(monkeypatch):
    pairs = [drawn(seed, shape) for seed, shape in enumerate([(7, 9), (30, 20), (1, 5)])]
    total = Calibration.none()
    for pair in pairs:
        total += Calibration.of(*pair)
    monkeypatch.setattr(module, "_CHUNK", 13)
    whole = Calibration.of(*(np.concatenate([one[side].ravel() for one in pairs])[None] for side in (0, 1)))
    assert total.count.tolist() == whole.count.tolist()
    assert total.sum_lesion.tolist() == whole.sum_lesion.tolist()
    assert total.sum_probability == pytest.approx(whole.sum_probability)
    assert total.error == pytest.approx(whole.error)


def test_the_curve_of_bins_that_hold_pixels():
    probability = np.array([[0.1, 0.1, 0.9, 0.9]])
    mean, share = Calibration.of(probability, np.array([[False, True, True, True]])).curve()
    assert mean == pytest.approx([0.1, 0.9])
    assert share == pytest.approx([0.5, 1.0])


def test_without_pixels_there_is_no_error():
    assert np.isnan(Calibration.none().error)


@pytest.mark.parametrize("value", [np.nan, -0.01, 1.01, np.inf])
def test_what_is_no_probability_is_refused(value):
    probability, target = drawn(0)
    probability[3, 4] = value
    with pytest.raises(DataError, match="probabilities"):
        Calibration.of(probability, target)


@pytest.mark.parametrize("target", [np.zeros((4, 5), bool), np.zeros((40, 50), np.uint8)])
def test_an_unusable_target_is_refused(target):
    with pytest.raises(DataError, match="boolean mask of the same size"):
        Calibration.of(drawn(0)[0], target)


def test_what_is_written_is_read_back(tmp_path):
    written = Calibration.of(*drawn(2))
    (tmp_path / "calibration.json").write_text(json.dumps(written.to_json()))
    found = read_calibration(tmp_path / "calibration.json")
    assert found.to_json() == written.to_json()
    assert found.error == written.error


@pytest.mark.parametrize(
    "change",
    [
        {"count": [1, 2]},
        {"count": "many"},
        {"count": [[1] * BINS]},
        {"sum_lesion": [10**6] * BINS},
        {"sum_lesion": [-1] * BINS},
        {"sum_probability": [float("nan")] * BINS},
        {"sum_probability": [None] * BINS},
        {"count": [10**30] * BINS},
        {"edges": [0, 1]},
        {"edges": None},
    ],
)
def test_damaged_counts_are_named(tmp_path, change):
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(Calibration.of(*drawn(2)).to_json() | change))
    with pytest.raises(DataError, match=r"calibration\.json"):
        read_calibration(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"count": []}'])
def test_other_files_are_named(tmp_path, text):
    path = tmp_path / "calibration.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"calibration\.json"):
        read_calibration(path)
    with pytest.raises(DataError, match=r"nowhere\.json is missing"):
        read_calibration(tmp_path / "nowhere.json")


def test_the_curve_is_drawn(tmp_path):
    draw_reliability(Calibration.of(*drawn(2)), tmp_path / "reliability.png")
    with Image.open(tmp_path / "reliability.png") as picture:
        assert min(picture.size) > 300
