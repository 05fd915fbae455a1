import csv
import hashlib
import json
import os
import shutil
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image

import dermseg
from dermseg.data.images import read_image
from dermseg.data.splits import Split, save_split
from dermseg.errors import CheckpointError, ConfigError, DataError, DermsegError
from dermseg.evaluation import report, sources
from dermseg.evaluation.calibration import Calibration, draw_reliability, read_calibration
from dermseg.evaluation.evaluate import evaluate
from dermseg.evaluation.metrics import COUNTS, METRICS, pool, score
from dermseg.evaluation.statistics import mean_interval
from dermseg.figures import contact_sheet
from dermseg.inference.predict import predict
from dermseg.inference.predictor import Predictor
from dermseg.models.weights import load_model
from inference.fakes import disc, save_dark_model, write_lesion

SHAPES = {"a": (60, 80), "b": (120, 90), "c": (64, 64), "d": (31, 47)}


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Leave out the pictures, which take most of an evaluation's time; two tests draw them."""
    monkeypatch.setattr(report, "contact_sheet", lambda *_, **__: None)
    monkeypatch.setattr(report, "draw_reliability", lambda *_: None)


def shifted(mask, columns):
    return np.roll(mask, columns, axis=1)


@pytest.fixture
def data(tmp_path):
    for name, shape in SHAPES.items():
        write_lesion(tmp_path / "data" / "images" / f"{name}.png", disc(*shape))
        (tmp_path / "data" / "masks").mkdir(exist_ok=True)
        Image.fromarray(shifted(disc(*shape), 3)).save(tmp_path / "data" / "masks" / f"{name}.png")
    return tmp_path / "data"


@pytest.fixture
def predictions(tmp_path):
    """Perfect for a and b, off for c, empty for d."""
    masks = {name: shifted(disc(*shape), 3) for name, shape in SHAPES.items()}
    masks["c"] = shifted(masks["c"], 9)
    masks["d"] = np.zeros(SHAPES["d"], bool)
    (tmp_path / "predicted").mkdir()
    for name, mask in masks.items():
        Image.fromarray(mask).save(tmp_path / "predicted" / f"{name}_mask.png")
    return tmp_path / "predicted", masks


@pytest.fixture
def split(tmp_path):
    save_split(Split("mine", train=("a",), validation=("b",), test=("c", "d")), tmp_path / "split.json")
    return tmp_path / "split.json"


def written(out):
    with (out / "per_image.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return rows, json.loads((out / "summary.json").read_text())


def test_a_folder_of_masks_is_scored_by_identifier(tmp_path, data, predictions, capsys):
    folder, masks = predictions
    (folder / "a_overlay.jpg").write_bytes(b"never read")
    found = evaluate(data, predictions=folder, out=tmp_path / "out")
    rows, summary = written(tmp_path / "out")
    assert [row["identifier"] for row in rows] == ["a", "b", "c", "d"]
    wanted = [score(masks[name], shifted(disc(*shape), 3)) for name, shape in SHAPES.items()]
    for row, scores in zip(rows, wanted, strict=True):
        assert (int(row["height"]), int(row["width"])) == SHAPES[row["identifier"]]
        assert all(float(row[name]) == getattr(scores, name) for name in (*METRICS, "tp", "fp", "fn", "tn"))
    pooled = pool(*([getattr(scores, name) for scores in wanted] for name in COUNTS))
    for name in METRICS:
        values = [getattr(scores, name) for scores in wanted]
        assert summary["per_image_mean"][name]["mean"] == pytest.approx(np.mean(values))
    assert summary["pooled"]["dice"] == pooled.dice != summary["per_image_mean"]["dice"]["mean"]
    assert summary["images"] == 4
    assert summary["share_below_iou_0.65"] == 0.5
    assert summary["worst"] == ["d", "c", "a", "b"]
    assert summary["problems"] == []
    assert summary["dermseg"] == dermseg.__version__
    assert summary["predictions"] == str(folder)
    assert not found.problems
    printed = capsys.readouterr().out
    assert all(text in printed for text in ("per-image mean", "pooled", "95 % interval", "d (0.000)"))


def test_the_pictures_show_images_with_both_outlines(tmp_path, data, predictions, monkeypatch):
    monkeypatch.setattr(report, "contact_sheet", contact_sheet)
    evaluate(data, predictions=predictions[0], out=tmp_path / "out")
    for name in ("worst.png", "gallery.png"):
        with Image.open(tmp_path / "out" / name) as picture:
            assert min(picture.size) > 200


def test_outlines_have_the_colours_that_the_legend_says(tmp_path, data, predictions, monkeypatch):
    shown, legends = [], []
    monkeypatch.setattr(report, "outlined_thumbnail", lambda _, outlines: shown.append(outlines))
    monkeypatch.setattr(report, "contact_sheet", lambda *_, legend, **__: legends.append(dict(legend)))
    evaluate(data, predictions=predictions[0], out=tmp_path / "out")
    masks = {colour: mask for mask, colour in shown[0]}  # of d, the worst, for which nothing is predicted
    assert not masks[legends[0]["prediction"]].any()
    assert np.array_equal(masks[legends[0]["target"]], shifted(disc(*SHAPES["d"]), 3))


def test_an_image_that_cannot_be_shown_does_not_take_the_scores_with_it(
    tmp_path, data, predictions, monkeypatch
):
    monkeypatch.setattr(report, "contact_sheet", contact_sheet)
    [image] = (data / "images").glob("a.*")
    image.write_bytes(image.read_bytes()[:-200])
    evaluate(data, predictions=predictions[0], out=tmp_path / "out")
    assert [row["identifier"] for row in written(tmp_path / "out")[0]] == ["a", "b", "c", "d"]
    assert (tmp_path / "out" / "gallery.png").exists()


def test_a_network_is_scored_at_native_resolution(tmp_path, data, monkeypatch):
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch, threshold=0.4)
    evaluate(data, weights=weights, out=tmp_path / "out")
    rows, summary = written(tmp_path / "out")
    predict([data / "images"], weights, out=tmp_path / "predicted")
    evaluate(data, predictions=tmp_path / "predicted", out=tmp_path / "again")
    assert rows == written(tmp_path / "again")[0]
    assert {row["identifier"]: (int(row["height"]), int(row["width"])) for row in rows} == SHAPES
    assert summary["model"]["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert (summary["model"]["name"], summary["model"]["threshold"]) == ("dark_pixels", 0.4)
    assert summary["trained_on_these"] is None


def test_augmentation_at_test_time_is_told_and_wants_a_network(tmp_path, data, predictions, monkeypatch):
    weights = save_dark_model(tmp_path / "w.safetensors", monkeypatch)
    plain = evaluate(data, weights=weights, out=tmp_path / "plain")
    averaged = evaluate(data, weights=weights, out=tmp_path / "averaged", tta=True)
    assert averaged.provenance["model"] == plain.provenance["model"] | {"tta": True}
    with pytest.raises(ConfigError, match="tta mirrors what a network sees"):
        evaluate(data, predictions=predictions[0], out=tmp_path / "out", tta=True)


def test_the_calibration_of_a_network_is_that_of_all_its_pixels(
    tmp_path, data, predictions, monkeypatch, capsys
):
    monkeypatch.setattr(report, "draw_reliability", draw_reliability)
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch)
    evaluate(data, weights=weights, out=tmp_path / "out")
    predictor, wanted = Predictor(load_model(weights)), Calibration.none()
    for name, shape in SHAPES.items():
        probability = predictor.predict(read_image(data / "images" / f"{name}.png")).probability
        wanted += Calibration.of(probability, shifted(disc(*shape), 3))
    found = read_calibration(tmp_path / "out" / "calibration.json")
    assert found.to_json() == wanted.to_json()
    assert written(tmp_path / "out")[1]["expected_calibration_error"] == found.error
    assert f"Expected calibration error, pooled pixels, 15 bins: {found.error:.4f}" in capsys.readouterr().out
    with Image.open(tmp_path / "out" / "reliability.png") as picture:
        assert min(picture.size) > 200
    evaluate(data, predictions=predictions[0], out=tmp_path / "masks")
    assert written(tmp_path / "masks")[1]["expected_calibration_error"] is None
    assert not (tmp_path / "masks" / "calibration.json").exists()
    assert "Expected calibration error" not in capsys.readouterr().out


def test_only_one_side_of_a_split_is_scored(tmp_path, data, predictions, split):
    evaluate(data, predictions=predictions[0], split=split, out=tmp_path / "out")
    rows, summary = written(tmp_path / "out")
    assert [row["identifier"] for row in rows] == ["c", "d"]
    assert summary["split"] == {
        "name": "mine",
        "part": "test",
        "sha256": json.loads(split.read_text())["checksum"],
    }
    evaluate(data, predictions=predictions[0], split=split, part="train", out=tmp_path / "train")
    assert [row["identifier"] for row in written(tmp_path / "train")[0]] == ["a"]


def test_images_of_one_lesion_are_drawn_together(tmp_path, data, predictions, capsys):
    evaluate(data, predictions=predictions[0], out=tmp_path / "images")
    rows, alone = written(tmp_path / "images")
    assert alone["intervals_over"] == "images"
    assert "bootstrapped over images. Scores" in capsys.readouterr().out
    (tmp_path / "given.csv").write_text("image_id,lesion_id\na,L1\nc,L1\nb,L2\nz,L2\n")
    evaluate(data, predictions=predictions[0], groups=tmp_path / "given.csv", out=tmp_path / "given")
    (tmp_path / "given.csv").rename(data / "found.csv")
    evaluate(data, predictions=predictions[0], out=tmp_path / "found")
    assert written(tmp_path / "found")[0] == rows
    found = written(tmp_path / "found")[1]
    assert found["intervals_over"] == "lesions and patients"
    assert "bootstrapped over lesions and patients, each with all its images." in capsys.readouterr().out
    assert found["per_image_mean"] == written(tmp_path / "given")[1]["per_image_mean"]
    for name in METRICS:
        values = [float(row[name]) for row in rows]
        assert found["per_image_mean"][name] == asdict(mean_interval(values, [1, 2, 1, 3]))
        assert alone["per_image_mean"][name] == asdict(mean_interval(values))
    assert found["per_image_mean"]["iou"] != alone["per_image_mean"]["iou"]


def test_of_a_network_they_are_the_same(tmp_path, data, monkeypatch):
    (data / "found.csv").write_text("image_id,lesion_id\na,L1\nc,L1\n")
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch)
    found = evaluate(data, weights=weights, out=tmp_path / "out")
    assert found.lesions == {"a": "a", "c": "a"}


def test_only_the_same_evaluation_is_replaced(tmp_path, data, predictions, split, monkeypatch):
    folder, _ = predictions
    same = {"data": data, "predictions": folder, "split": split, "out": tmp_path / "out"}
    evaluate(**same)
    (folder / "c_mask.png").unlink()
    evaluate(**same)
    rows, _ = written(tmp_path / "out")
    assert [row["identifier"] for row in rows] == ["d"]
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch)
    elsewhere, others = (shutil.copytree(path, tmp_path / "copies" / path.name) for path in (data, folder))
    for other in (
        {"part": "train"},
        {"split": None},
        {"data": elsewhere},
        {"predictions": others},
        {"predictions": None, "weights": weights},
    ):
        with pytest.raises(ConfigError, match="out holds the results of something else"):
            evaluate(**(same | other))
    assert written(tmp_path / "out")[0] == rows


def test_the_results_of_other_weights_are_not_replaced(tmp_path, data, monkeypatch):
    for threshold in (0.4, 0.5):
        weights = save_dark_model(tmp_path / f"{threshold}.safetensors", monkeypatch, threshold=threshold)
        evaluate(data, weights=weights, out=tmp_path / str(threshold))
    with pytest.raises(ConfigError, match=r"0\.4 holds the results of something else"):
        evaluate(data, weights=weights, out=tmp_path / "0.4")


@pytest.mark.parametrize("text", ['{"epochs": 3}', "[]", "{"])
def test_the_summary_of_something_else_is_kept(tmp_path, data, predictions, text):
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(ConfigError, match="another folder with --out"):
        evaluate(data, predictions=predictions[0], out=tmp_path)
    assert (tmp_path / "summary.json").read_text() == text


def test_masks_may_lie_elsewhere(tmp_path, data, predictions):
    (data / "masks").rename(tmp_path / "elsewhere")
    evaluate(data / "images", predictions=predictions[0], masks=tmp_path / "elsewhere", out=tmp_path / "out")
    rows, summary = written(tmp_path / "out")
    assert [row["identifier"] for row in rows] == ["a", "b", "c", "d"]
    assert summary["data"]["masks"] == str(tmp_path / "elsewhere")


@pytest.mark.parametrize("name", ["skin [left]", "skin[/b]"])
def test_brackets_in_names_are_no_markup(tmp_path, data, predictions, capsys, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    data.rename(tmp_path / name)
    write_lesion(tmp_path / name / "images" / "lonely[red].png")
    evaluate(tmp_path / name, predictions=predictions[0], out=tmp_path / "[out]")
    printed = capsys.readouterr().out
    assert f"{(tmp_path / name).name}: 4 images" in printed
    assert "lonely[red].png has no mask" in printed
    assert f"Written to {tmp_path}/[out]" in printed


def test_a_name_that_is_no_text_is_an_image_like_any_other(tmp_path, data, predictions):
    name = os.fsdecode(b"caf\xe9")
    try:
        for folder in (data / "images", data / "masks", predictions[0]):
            (folder / "a.png" if folder != predictions[0] else folder / "a_mask.png").rename(
                folder / f"{name}.png"
            )
    except OSError:
        pytest.skip("this file system takes text only")
    found = evaluate(data, predictions=predictions[0], out=tmp_path / "out")
    assert not found.problems
    assert "caf\N{REPLACEMENT CHARACTER}" in [row["identifier"] for row in written(tmp_path / "out")[0]]


def test_many_problems_are_counted_and_the_summary_has_them_all(tmp_path, data, predictions, capsys):
    for number in range(25):
        write_lesion(data / "images" / f"lonely{number:02}.png")
    evaluate(data, predictions=predictions[0], out=tmp_path / "out")
    printed = capsys.readouterr().out
    assert printed.count("has no mask") == 20
    assert "and 5 more, listed in summary.json" in printed
    assert len(written(tmp_path / "out")[1]["problems"]) == 25


def test_broken_pairs_are_named_and_do_not_stop_the_rest(tmp_path, data, predictions, capsys):
    folder, _ = predictions
    content = (data / "masks" / "a.png").read_bytes()
    (data / "masks" / "a.png").write_bytes(content[: len(content) // 2])
    (folder / "b_mask.png").unlink()
    Image.fromarray(np.zeros((8, 8), bool)).save(folder / "c_mask.png")
    write_lesion(data / "images" / "lonely.png")
    found = evaluate(data, predictions=folder, out=tmp_path / "out")
    rows, summary = written(tmp_path / "out")
    assert [row["identifier"] for row in rows] == ["d"]
    assert len(found.problems) == len(summary["problems"]) == 4
    reasons = {problem.path.name: problem.reason for problem in found.problems}
    assert "exactly one predicted mask named b" in reasons["b.png"]
    assert "8 x 8" in reasons["c.png"]
    assert "no mask" in reasons["lonely.png"]
    assert "lonely.png" in capsys.readouterr().out
    assert summary["per_image_mean"]["dice"]["low"] is None


def test_two_masks_for_one_image_are_not_guessed_between(tmp_path, data, predictions):
    Image.fromarray(np.zeros(SHAPES["a"], bool)).save(predictions[0] / "a.png")
    [problem] = evaluate(data, predictions=predictions[0], out=tmp_path / "out").problems
    assert "a.png, a_mask.png" in problem.reason


def test_what_a_split_needs_and_the_data_lack_is_a_problem(tmp_path, data, predictions, split):
    (data / "masks" / "c.png").unlink()
    (data / "masks" / "a.png").unlink()
    [problem] = evaluate(data, predictions=predictions[0], split=split, out=tmp_path / "out").problems
    assert problem.path.name == "c.png"
    (data / "images" / "c.png").unlink()
    [problem] = evaluate(data, predictions=predictions[0], split=split, out=tmp_path / "out").problems
    assert (problem.path.name, problem.reason) == ("c", "is in split mine but not in the data")


def test_a_split_of_other_data_is_refused(tmp_path, data, predictions):
    save_split(Split("other", train=("x",), validation=("y",), test=("z",)), tmp_path / "other.json")
    with pytest.raises(DataError, match="none of the 1 test images of split other"):
        evaluate(data, predictions=predictions[0], split=tmp_path / "other.json", out=tmp_path / "out")


NOTES = {"split": {"train": ["a"], "validation": ["b"], "test": ["c", "d"]}}


def test_a_network_is_not_scored_on_what_it_learned_from(tmp_path, data, split, monkeypatch, capsys):
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch, notes=NOTES)
    with pytest.raises(DataError, match=r"2 of the 4 images carry the names of images that shaped.*: a, b"):
        evaluate(data, weights=weights, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    evaluate(data, weights=weights, split=split, out=tmp_path / "out")
    assert written(tmp_path / "out")[1]["trained_on_these"] == []
    evaluate(data, weights=weights, split=split, part="validation", out=tmp_path / "validation")
    with pytest.raises(DataError, match="1 of the 1 images"):
        evaluate(data, weights=weights, split=split, part="train", out=tmp_path / "train")
    # Of no split, no image is on the validation side.
    with pytest.raises(DataError, match=r"2 of the 4 images"):
        evaluate(data, weights=weights, part="validation", out=tmp_path / "sides")
    assert "NOT A TEST" not in capsys.readouterr().out
    evaluate(data, weights=weights, allow_leak=True, out=tmp_path / "all")
    assert written(tmp_path / "all")[1]["trained_on_these"] == ["a", "b"]
    assert "NOT A TEST: 2 of these images" in capsys.readouterr().out


@pytest.mark.parametrize("notes", [None, {"split": "isic2018-2094"}, {"split": None}])
def test_weights_without_a_note_of_their_images_are_scored_and_that_is_said(
    tmp_path, data, monkeypatch, capsys, notes
):
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch, notes=notes)
    evaluate(data, weights=weights, out=tmp_path / "out")
    assert written(tmp_path / "out")[1]["trained_on_these"] is None
    assert "do not say which images they learned from" in capsys.readouterr().out


@pytest.mark.parametrize("names", [None, "a", [["a"]], {"a": 1}, [1]])
def test_damaged_notes_are_named(tmp_path, data, monkeypatch, names):
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch, notes={"split": {"train": names}})
    with pytest.raises(CheckpointError, match=r"m\.safetensors is damaged: .*train images is no list"):
        evaluate(data, weights=weights, out=tmp_path / "out")


def test_a_network_that_answers_nonsense_is_an_error_not_a_problem(tmp_path, data, monkeypatch):
    def nonsense(*_):
        raise CheckpointError("not finite")

    monkeypatch.setattr(Predictor, "predict", nonsense)
    weights = save_dark_model(tmp_path / "m.safetensors", monkeypatch)
    with pytest.raises(CheckpointError):
        evaluate(data, weights=weights, out=tmp_path / "out")


def test_nothing_scored_is_an_error(tmp_path, data):
    (tmp_path / "predicted").mkdir()
    with pytest.raises(DataError, match="no image file"):
        evaluate(data, predictions=tmp_path / "predicted", out=tmp_path / "out")
    Image.fromarray(np.zeros((4, 4), bool)).save(tmp_path / "predicted" / "z.png")
    with pytest.raises(DataError, match=r"None of the 4 pairs .* The first: .*a\.png"):
        evaluate(data, predictions=tmp_path / "predicted", out=tmp_path / "out")


def test_an_unwritable_folder_is_found_before_scoring(tmp_path, data, predictions):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(DataError, match=r"output folder .*out cannot be written"):
        evaluate(data, predictions=predictions[0], out=tmp_path / "out")


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ({"data": "nosuch"}, "nosuch is not a folder"),
        ({"split": "nosuch"}, "nosuch"),
        ({"out": "file"}, "output folder file cannot be written"),
        ({"device": "gpu"}, "'gpu' is not available"),
    ],
)
def test_a_mistake_is_found_before_the_weights_are_loaded(tmp_path, data, monkeypatch, mistake, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sources, "load_model", lambda _: pytest.fail("the weights were loaded"))
    with pytest.raises(DermsegError, match=message):
        evaluate(**({"data": data, "weights": "w.safetensors", "out": "out"} | mistake))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("given", [{}, {"weights": "w", "predictions": "p"}])
def test_exactly_one_source_of_masks(tmp_path, data, given):
    with pytest.raises(ConfigError, match="either weights"):
        evaluate(data, out=tmp_path / "out", **given)


def test_part_is_a_side_of_the_split(tmp_path, data):
    with pytest.raises(ConfigError, match="choose train, validation, test"):
        evaluate(data, predictions="p", part="tset", out=tmp_path / "out")
