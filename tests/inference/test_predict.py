import csv
import errno
import os
import stat

import numpy as np
import pytest
from PIL import Image

from dermseg.errors import CheckpointError, DataError, DermsegError
from dermseg.inference import predict as module
from dermseg.inference.predict import COLUMNS, predict
from dermseg.models.expected_dice import ExpectedDice
from dermseg.models.weights import load_model, save_model

from .fakes import disc, lesion_image, save_dark_model, write_lesion


@pytest.fixture
def weights(tmp_path, monkeypatch):
    return save_dark_model(tmp_path / "model.safetensors", monkeypatch)


def rows(report):
    with report.table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def mask_of(report, index=0):
    return np.asarray(Image.open(report.images[index].files.mask)) > 0


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def test_files_and_table_agree(tmp_path, weights):
    mask = disc(200, 300, 50, (60, 170)) | disc(200, 300, 50, (60, 200))
    source = write_lesion(tmp_path / "in" / "mole.png", mask)
    report = predict(source, weights, out=tmp_path / "out")
    assert not report.problems
    [row] = rows(report)
    assert tuple(row) == COLUMNS
    assert row["source"] == str(source)
    assert (row["width"], row["height"]) == ("300", "200")
    written = mask_of(report)
    assert overlap(written, mask) > 0.95
    assert int(row["area_pixels"]) == written.sum()
    for first, length, across in (("box_left", "box_width", 0), ("box_top", "box_height", 1)):
        places = np.flatnonzero(written.any(axis=across))
        assert (int(row[first]), int(row[length])) == (places[0], places[-1] - places[0] + 1)
    assert float(row["area_share"]) == pytest.approx(written.mean(), abs=1e-6)
    assert (row["components"], row["threshold"], row["model"]) == ("1", "0.5", "dark_pixels")
    probability = np.asarray(Image.open(report.images[0].files.probability)) / 255
    assert float(row["mean_probability"]) == pytest.approx(probability[written].mean(), abs=0.003)
    assert row["expected_dice"] == ""
    for kind in ("mask", "probability", "overlay"):
        with Image.open(tmp_path / "out" / row[kind]) as picture:
            assert picture.size == (300, 200)


def test_what_the_weights_expect_is_in_the_table(tmp_path, weights):
    model = load_model(weights)
    model.expected_dice = ExpectedDice(0.25, 0.5)
    save_model(model, weights)
    report = predict(write_lesion(tmp_path / "x.png"), weights, out=tmp_path / "out")
    assert 0.5 < float(rows(report)[0]["expected_dice"]) == round(report.images[0].expected_dice, 4) < 0.75


def hostile(folder):
    """Files of every awkward kind, all with the same lesion."""
    mask = disc(60, 80, radius=20, centre=(25, 30))
    image = Image.fromarray(lesion_image(mask))
    rotated = Image.Exif()
    rotated[0x0112] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(folder / "exif.jpg", exif=rotated, quality=95)
    grey = np.asarray(image.convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(folder / "sixteen.png")
    Image.fromarray(grey).save(folder / "sixteen.tif")
    image.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    image.quantize(8).save(folder / "palette.png", transparency=0)
    image.convert("RGBA").save(folder / "alpha.webp", lossless=True)
    image.convert("L").save(folder / "grey.bmp")
    image.convert("LA").save(folder / "grey_alpha.png")
    image.save(folder / "شامة.png")
    return mask


def test_any_format_gives_the_same_outline(tmp_path, weights):
    folder = tmp_path / "in"
    folder.mkdir()
    mask = hostile(folder)
    report = predict([folder], weights, out=tmp_path / "out")
    assert not report.problems
    assert len(report.images) == 9
    for index, image in enumerate(report.images):
        assert overlap(mask_of(report, index), mask) > 0.85, image.source.name
    assert (tmp_path / "out" / "شامة_mask.png").exists()


def test_bad_files_are_named_and_do_not_stop_the_rest(tmp_path, weights, capsys):
    folder = tmp_path / "in"
    write_lesion(folder / "a.png")
    (folder / "b.jpg").write_bytes(b"")
    (folder / "c.jpg").write_text("I am text")
    whole = write_lesion(folder / "d.png").read_bytes()
    (folder / "d.png").write_bytes(whole[: len(whole) // 2])
    write_lesion(folder / "e.png")
    report = predict([folder, tmp_path / "absent.png"], weights, out=tmp_path / "out")
    assert [image.source.name for image in report.images] == ["a.png", "e.png"]
    assert {problem.path.name for problem in report.problems} == {"b.jpg", "c.jpg", "d.png", "absent.png"}
    assert [row["source"].rsplit("/")[-1] for row in rows(report)] == ["a.png", "e.png"]
    printed = capsys.readouterr().err
    assert all(name in printed for name in ("b.jpg", "c.jpg", "d.png", "absent.png", "empty (0 bytes)"))


def test_equal_stems_do_not_overwrite_one_another(tmp_path, weights):
    left, right = disc(40, 40, centre=(20, 10), radius=8), disc(40, 40, centre=(20, 30), radius=8)
    sources = [
        write_lesion(tmp_path / "a" / "x.png", left),
        write_lesion(tmp_path / "b" / "x.png", right),
        write_lesion(tmp_path / "b" / "x.bmp", left),
    ]
    report = predict(sources, weights, out=tmp_path / "out")
    assert len({image.files.mask for image in report.images}) == 3
    for index, mask in enumerate((left, right, left)):
        assert overlap(mask_of(report, index), mask) > 0.7


def test_second_run_over_the_same_folder_does_not_predict_its_own_pictures(tmp_path, weights):
    write_lesion(tmp_path / "in" / "x.png")
    for out in (tmp_path / "in", tmp_path / "in" / "out"):
        for _ in range(2):
            report = predict([tmp_path / "in"], weights, out=out)
            assert [image.source.name for image in report.images] == ["x.png"]
            assert not report.problems
    with pytest.raises(DataError, match="written by dermseg"):
        predict([tmp_path / "in" / "out"], weights, out=tmp_path / "elsewhere")


def test_a_file_that_dermseg_did_not_write_is_not_replaced(tmp_path, weights):
    write_lesion(tmp_path / "x.png")
    truth = tmp_path / "x_mask.png"
    Image.fromarray(disc(48, 64)).save(truth)
    before = truth.read_bytes()
    report = predict([tmp_path / "x.png"], weights, out=tmp_path)
    assert "did not write" in report.problems[0].reason
    assert truth.read_bytes() == before


@pytest.mark.parametrize("content", ["my,own,table\n1,2,3\n", "", None], ids=["table", "empty", "folder"])
def test_a_table_that_dermseg_did_not_write_is_not_replaced(tmp_path, weights, content):
    source, table = write_lesion(tmp_path / "x.png"), tmp_path / "out" / "predictions.csv"
    table.parent.mkdir()
    table.mkdir() if content is None else table.write_text(content)
    with pytest.raises(DataError, match=r"predictions\.csv would be replaced"):
        predict([source], weights, out=tmp_path / "out")
    assert [path.name for path in table.parent.iterdir()] == ["predictions.csv"]
    assert content is None or table.read_text() == content


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_named_and_not_waited_for(tmp_path, weights):
    write_lesion(tmp_path / "in" / "x.png")
    os.mkfifo(tmp_path / "in" / "pipe.jpg")
    report = predict([tmp_path / "in", tmp_path / "in" / "pipe.jpg"], weights, out=tmp_path / "out")
    assert [image.source.name for image in report.images] == ["x.png"]
    assert [problem.path.name for problem in report.problems] == ["pipe.jpg"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_place_of_the_table_is_not_waited_for(tmp_path, weights):
    os.mkfifo(tmp_path / "predictions.csv")
    with pytest.raises(DataError, match=r"predictions\.csv would be replaced"):
        predict([write_lesion(tmp_path / "x.png")], weights, out=tmp_path)


def test_rerun_replaces_and_is_deterministic(tmp_path, weights):
    source = write_lesion(tmp_path / "x.png")
    first = predict([source], weights, out=tmp_path / "out")
    content = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    first.images[0].files.probability.unlink()
    predict([source], weights, out=tmp_path / "out")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == content


def test_interruption_leaves_a_table_of_what_is_finished(tmp_path, weights, monkeypatch):
    for name in "abc":
        write_lesion(tmp_path / "in" / f"{name}.png")
    real = module.read_image

    def interrupt(path):
        if path.name == "b.png":
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(module, "read_image", interrupt)
    with pytest.raises(KeyboardInterrupt):
        predict([tmp_path / "in"], weights, out=tmp_path / "out")
    with (tmp_path / "out" / "predictions.csv").open() as file:
        assert [row["mask"] for row in csv.DictReader(file)] == ["a_mask.png"]


def test_the_table_grows_with_the_run(tmp_path, weights, monkeypatch):
    for name in "abc":
        write_lesion(tmp_path / "in" / f"{name}.png")
    table, real, listed = tmp_path / "out" / "predictions.csv", module.read_image, []

    def look(path):
        if path.name != "a.png":
            listed.append([row["mask"] for row in csv.DictReader(table.read_text().splitlines())])
        return real(path)

    monkeypatch.setattr(module, "read_image", look)
    monkeypatch.setattr(module, "_TABLE_SECONDS", 0.0)
    predict([tmp_path / "in"], weights, out=tmp_path / "out")
    assert listed == [["a_mask.png"], ["a_mask.png", "b_mask.png"]]


def test_an_unforeseen_failure_is_named_too(tmp_path, weights, monkeypatch):
    source = write_lesion(tmp_path / "x.png")
    monkeypatch.setattr(module, "write_outputs", lambda *_: 1 / 0)
    [problem] = predict([source], weights, out=tmp_path / "out").problems
    assert "ZeroDivisionError" in problem.reason


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("table_too", [False, True])
def test_a_full_disk_ends_the_run_and_keeps_the_table(tmp_path, weights, monkeypatch, table_too):
    for name in "abc":
        write_lesion(tmp_path / "in" / f"{name}.png")
    real, tried = module.write_outputs, []

    def fill(segmentation, image, files):
        tried.append(files.mask.name)
        if len(tried) == 2:
            full()
        real(segmentation, image, files)

    monkeypatch.setattr(module, "write_outputs", fill)
    if table_too:
        monkeypatch.setattr(module, "write_text", full)
    with pytest.raises(DataError, match="full; 1 of 3 images are done"):
        predict([tmp_path / "in"], weights, out=tmp_path / "out")
    assert tried == ["a_mask.png", "b_mask.png"]
    if not table_too:
        assert (tmp_path / "out" / "predictions.csv").read_text().count("a_mask.png") == 1


def test_a_disk_that_is_full_for_the_table_alone_is_named(tmp_path, weights, monkeypatch):
    write_lesion(tmp_path / "a.png")
    monkeypatch.setattr(module, "write_text", full)
    with pytest.raises(DataError, match="full; 1 of 1 images are done"):
        predict([tmp_path / "a.png"], weights, out=tmp_path / "out")


def test_masks_that_are_passed_over_are_named(tmp_path, weights, capsys):
    for folder in ("images", "masks"):
        write_lesion(tmp_path / "[b]" / folder / "x.png")
    report = predict([tmp_path / "[b]"], weights, out=tmp_path / "out")
    assert [image.source.parent.name for image in report.images] == ["images"]
    assert not report.problems
    assert f"Passed over, as masks of a data set: {tmp_path}/[b]/masks" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["[left].png", "x[/b].png"])
def test_brackets_in_a_name_are_no_markup(tmp_path, weights, capsys, name):
    write_lesion(tmp_path / "a.png")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"")
    predict([tmp_path / "a.png", tmp_path / name], weights, out=tmp_path / "[/out]")
    printed = capsys.readouterr().err
    assert f"{name} is empty" in printed
    assert "[/out]/predictions.csv" in printed


def test_a_name_that_is_no_text_is_an_image_like_any_other(tmp_path, weights):
    name = os.fsdecode(b"caf\xe9")
    try:
        write_lesion(tmp_path / "in" / f"{name}.png")
    except OSError:
        pytest.skip("this file system takes text only")
    (tmp_path / "in" / f"{name}.jpg").write_bytes(b"")
    report = predict([tmp_path / "in"], weights, out=tmp_path / "out")
    assert len(report.images) == len(report.problems) == 1
    [row] = rows(report)
    assert "caf\N{REPLACEMENT CHARACTER}" in row["source"]
    for kind in ("mask", "probability", "overlay"):
        assert (tmp_path / "out" / row[kind]).is_file()


def test_threshold_is_passed_on(tmp_path, weights):
    source = write_lesion(tmp_path / "x.png")
    wide = predict([source], weights, out=tmp_path / "out", threshold=0.001)
    narrow = predict([source], weights, out=tmp_path / "out2", threshold=0.999)
    assert wide.images[0].measurements.area > narrow.images[0].measurements.area
    assert rows(wide)[0]["threshold"] == "0.001"


@pytest.mark.parametrize("kind", ["file", "below a file"])
def test_unwritable_output_is_named(tmp_path, weights, kind):
    source = write_lesion(tmp_path / "x.png")
    (tmp_path / "out").write_text("a file")
    out = tmp_path / "out" if kind == "file" else tmp_path / "out" / "deep"
    with pytest.raises(DataError, match=r"output folder .* cannot be written"):
        predict([source], weights, out=out)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ({"threshold": 2.0}, "threshold must be a number between 0 and 1"),
        ({"device": "gpu"}, "'gpu' is not available"),
        ({"out": "x.png"}, "cannot be written"),
    ],
)
def test_a_mistake_is_found_before_the_weights_are_loaded(tmp_path, monkeypatch, mistake, message):
    write_lesion(tmp_path / "x.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "load_model", lambda _: pytest.fail("the weights were loaded"))
    with pytest.raises(DermsegError, match=message):
        predict("x.png", "model.safetensors", **({"out": "out"} | mistake))
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root writes anywhere")
def test_read_only_output_is_named(tmp_path, weights):
    source = write_lesion(tmp_path / "x.png")
    (tmp_path / "out").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(DataError, match="cannot be written"):
        predict([source], weights, out=tmp_path / "out")


def test_missing_weights_are_named_before_anything_is_written(tmp_path):
    source = write_lesion(tmp_path / "x.png")
    with pytest.raises(CheckpointError, match="gone"):
        predict([source], tmp_path / "gone.safetensors", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_quiet_prints_nothing(tmp_path, weights, capsys):
    predict([write_lesion(tmp_path / "x.png")], weights, out=tmp_path / "out", quiet=True)
    printed = capsys.readouterr()
    assert printed.out + printed.err == ""
