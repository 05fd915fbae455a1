"""The whole report: files, page, pictures, and what it says where something is missing."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stored import SIDE, write_benchmark

from dermseg.benchmark.figures import Drawing, scores_drawing
from dermseg.benchmark.figures_images import Pictures, images_drawing
from dermseg.benchmark.report import write_report
from dermseg.benchmark.report_analysis import Analysis
from dermseg.benchmark.testing import save_mask
from dermseg.cli import main
from dermseg.errors import ConfigError

SKILL = {"unet": 0.7, "vm_unet": 0.95, "xlstm_vmunet": 0.9}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_benchmark(tmp_path / "results", SKILL)
    return tmp_path / "results"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a whole report, whose images are gone."""
    folder = tmp_path_factory.mktemp("whole")
    write_benchmark(folder / "results", SKILL)
    assert main(["benchmark", "report", str(folder / "results"), "--out", str(folder / "report")]) == 0
    return folder / "report"


@pytest.fixture
def only_images(monkeypatch: pytest.MonkeyPatch):
    """Leave the other figures out, which take most of the time."""

    def draw(analysis: Analysis, pictures: Pictures) -> list[Drawing]:
        drawn = images_drawing(analysis, pictures)
        return [] if drawn is None else [drawn]

    monkeypatch.setattr("dermseg.benchmark.report.report_drawings", draw)


def read_page(out: Path) -> str:
    return (out / "index.html").read_text(encoding="utf-8")


def write_images(results: Path, data: Path) -> None:
    """Draw an image of its own colour for every identifier, and the masks of every cell."""
    disc = np.hypot(*np.ogrid[-20:20, -20:20]) < 11
    for folder in ("images", "masks"):
        (data / folder).mkdir(parents=True)
    for number in range(24):
        Image.fromarray(np.full((SIDE, SIDE, 3), 5 * number, np.uint8)).save(
            data / f"images/ISIC_{number:04}.png"
        )
        Image.fromarray(disc).save(data / f"masks/ISIC_{number:04}.png")
    for folder in (results / "cells").glob("*/*"):
        for line in (folder / "per_image.csv").read_text(encoding="utf-8").splitlines()[1:]:
            save_mask(np.roll(disc, 4, axis=0), folder / "masks" / f"{line.split(',')[0]}.png", 32)


def test_the_report_is_whole(report: Path):
    names = {path.stem for path in (report / "tables").iterdir()}
    assert names >= {"table-1", "table-2", "comparison", "metrics", "costs", "worst", "disputed", "grid"}
    for name in names:
        for suffix in ("csv", "md", "tex"):
            assert (report / "tables" / f"{name}.{suffix}").stat().st_size
    figures = {path.stem for path in (report / "figures").iterdir()}
    assert figures >= {
        "scores",
        "ranks",
        "stability",
        "cost",
        "training",
        "versions",
        "disagreement",
        "calibration",
    }
    for name in figures:
        assert (report / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert "<svg" in (report / "figures" / f"{name}.svg").read_text(encoding="utf-8")


def test_the_page_needs_nothing_else(report: Path):
    page = read_page(report)
    assert "made up &lt;b&gt;" in page
    assert not re.search(r"<(script|link|iframe)\b", page)
    assert all(address.startswith(("#", "data:")) for address in re.findall(r'(?:src|href)="([^"]*)"', page))
    identifiers = re.findall(r'\sid="([^"]+)"', page)
    assert len(set(identifiers)) == len(identifiers)
    assert page.count("<svg") == page.count("</svg>") >= 8


def test_the_same_results_give_the_same_files(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        "dermseg.benchmark.report.report_drawings", lambda analysis, _: [scores_drawing(analysis)]
    )
    for name in ("one", "two"):
        write_report(results, tmp_path / name)
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*")]
    assert {file.suffix for file in files} == {".html", ".svg", ".pdf", ".csv", ".md", ".tex"}
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


def test_images_that_are_gone_are_said_to_be(report: Path):
    page = read_page(report)
    assert "The images cannot be read" in page
    assert "--data" in page
    assert "<img" not in page


@pytest.mark.usefixtures("only_images")
def test_pictures_of_the_chosen_and_the_worst_images(results: Path, tmp_path: Path):
    write_images(results, tmp_path / "data")
    write_report(results, tmp_path / "out", tmp_path / "data")
    page = read_page(tmp_path / "out")
    assert page.count("<img") == 3 * 5
    # Four images, each with its true border and three systems.
    svg = (tmp_path / "out" / "figures" / "images.svg").read_text(encoding="utf-8")
    assert svg.count("<image") == 4 * 4


@pytest.mark.usefixtures("only_images")
def test_a_report_to_publish_shows_no_image(results: Path, tmp_path: Path):
    write_images(results, tmp_path / "data")
    write_report(results, tmp_path / "out", tmp_path / "data", without_pictures=True)
    assert "<img" not in read_page(tmp_path / "out")
    assert not (tmp_path / "out" / "figures" / "images.svg").exists()


@pytest.mark.usefixtures("only_images")
def test_masks_that_were_not_kept_are_said_to_be_missing(results: Path, tmp_path: Path):
    write_images(results, tmp_path / "data")
    for mask in (results / "cells").glob("*/*/masks/*.png"):
        mask.unlink()
    write_report(results, tmp_path / "out", tmp_path / "data")
    assert "No cell has kept the masks" in read_page(tmp_path / "out")


def test_nothing_has_run_yet(tmp_path: Path):
    skip = [(label, fold) for label in SKILL for fold in (1, 2, 3)]
    write_benchmark(tmp_path / "results", SKILL, skip=skip)
    write_report(tmp_path / "results", tmp_path / "out")
    page = read_page(tmp_path / "out")
    assert "No cell has finished yet" in page
    assert "not run" in page


@pytest.mark.usefixtures("only_images")
def test_damaged_cells_are_named(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    broken = next((results / "cells").glob("unet/*")) / "per_image.csv"
    broken.write_text("", encoding="utf-8")
    write_report(results, tmp_path / "out")
    printed = capsys.readouterr().out
    assert f"Open {tmp_path / 'out' / 'index.html'}" in printed
    assert "damaged: " in printed
    assert str(broken) in read_page(tmp_path / "out")


def test_a_page_of_somebody_else_is_kept(results: Path, tmp_path: Path):
    (tmp_path / "index.html").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="not written by dermseg"):
        write_report(results, tmp_path)
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == "mine"


@pytest.mark.usefixtures("only_images")
def test_cells_are_found_by_the_plan_alone(results: Path, tmp_path: Path):
    """Folders that the plan does not name are none of its cells."""
    (results / "cells" / "stranger" / "fold-1-seed-0").mkdir(parents=True)
    write_report(results, tmp_path / "out")
    assert "stranger" not in read_page(tmp_path / "out")


@pytest.mark.usefixtures("only_images")
def test_a_grid_that_was_really_run(unbroken: Path, tmp_path: Path):
    """The other tests make results up; these were written by cells."""
    write_report(unbroken, tmp_path)
    page = read_page(tmp_path)
    assert "4 of 4" in page
    assert "<img" in page
    assert (tmp_path / "figures" / "images.svg").is_file()
    costs = (tmp_path / "tables" / "costs.csv").read_text(encoding="utf-8").splitlines()
    assert all("" not in line.split(",") for line in costs)
