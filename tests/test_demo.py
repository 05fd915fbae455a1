"""The demo from end to end, with few small images and one short epoch."""

import re
import shlex
from pathlib import Path

import pytest

from dermseg import demo
from dermseg.demo import MARKER, run_demo
from dermseg.errors import ConfigError
from dermseg.inference.predict import predict

TINY = {
    "model": "vm_unet",
    "model_arguments": {"width": 8, "depths": [1] * 4, "depths_decoder": [1] * 4, "state": 2},
    "batch_size": 4,
    "threads": 1,
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(demo, "IMAGES", 16)
    monkeypatch.setattr(demo, "DRAWN", 40)
    monkeypatch.setattr(demo, "SIZE", 32)
    monkeypatch.setattr(demo, "EPOCHS", 1)
    monkeypatch.setattr(demo, "read_preset", lambda _: TINY)


def test_the_page_shows_scores_outlines_curves_and_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "a demo [b]"
    page = run_demo(out, training=True)
    assert page == out / "index.html"
    html = page.read_text(encoding="utf-8")
    assert len(re.findall(r"<td>Dice</td>", html)) == 2
    assert len(re.findall("<figure>", html)) == 3
    assert html.count("data:image/png;base64,") == 4
    assert "16 synthetic images of 40 px" in html
    assert "$" not in html
    weights = re.search(r"dermseg predict PHOTOS --weights (.*)", html)
    assert weights is not None
    assert shlex.split(weights[1].replace("&#x27;", "'")) == [str(out / "run" / "model.safetensors")]
    assert f"Open {page}" in capsys.readouterr().out.replace("\n", "")


def test_without_training_the_network_that_ships_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(demo, "TESTED", 3)
    monkeypatch.setattr(demo, "train", None)
    html = run_demo(tmp_path / "demo").read_text(encoding="utf-8")
    assert len(re.findall("<figure>", html)) == 3
    assert "Training curves" not in html
    assert "3 synthetic images of 40 px" in html
    assert re.search("^dermseg predict PHOTOS$", html, re.MULTILINE)


def test_a_failed_prediction_leaves_a_picture_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        demo, "predict", lambda images, *rest, **options: predict(images[1:], *rest, **options)
    )
    html = run_demo(tmp_path / "demo", training=True).read_text(encoding="utf-8")
    assert html.count("<figure>") == 2


def test_an_earlier_demo_is_removed_and_what_is_not_its_own_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def kill(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "synthetic_collection", kill)
    monkeypatch.chdir(tmp_path)
    (tmp_path / MARKER).write_text("{}")
    for name in ("mine.txt", "index.html", "run/config.yaml", "cache/images.npy", "elsewhere/kept.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "data").symlink_to(tmp_path / "elsewhere")
    for _ in range(2):  # a demo that was killed is an earlier demo too
        with pytest.raises(KeyboardInterrupt):
            run_demo(Path())
    assert {path.name for path in tmp_path.iterdir()} == {MARKER, "mine.txt", "elsewhere"}
    assert (tmp_path / "elsewhere" / "kept.txt").is_file()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_folder_that_is_no_demo_is_refused_and_left_alone(tmp_path: Path, kind: str):
    out = tmp_path / "photos"
    kept = out if kind == "file" else out / "run" / "photo.jpg"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text("mine")
    with pytest.raises(ConfigError, match="photos holds files that no demo wrote"):
        run_demo(out)
    assert kept.read_text() == "mine"
