"""The contact sheet of augmented images."""

import numpy as np
import pytest
from PIL import Image

from dermseg.cli import main
from dermseg.data.cache import prepare
from dermseg.data.preview import VIEWS, preview
from dermseg.data.readers import read_collection
from dermseg.data.synthetic import synthetic_collection
from dermseg.errors import ConfigError, DataError
from dermseg.figures import MADE_BY, TARGET_COLOUR


@pytest.fixture
def sheets(monkeypatch):
    """What is put on sheets, which are not drawn: matplotlib takes a while."""
    drawn = []
    monkeypatch.setattr("dermseg.data.preview.contact_sheet", lambda tiles, *_, **__: drawn.append(tiles))
    return drawn


@pytest.fixture
def data(tmp_path):
    synthetic_collection(tmp_path / "data", 4, 48, seed=0)
    return tmp_path / "data"


def test_a_sheet_is_written(data, tmp_path, monkeypatch):
    # Drawing takes most of the time.
    monkeypatch.setattr("dermseg.data.preview.VIEWS", 2)
    assert preview(data, tmp_path / "new" / "sheet.png", size=32, rows=1) == []
    with Image.open(tmp_path / "new" / "sheet.png") as sheet:
        assert sheet.info["Software"] == MADE_BY
        assert sheet.width > sheet.height


def test_a_row_is_an_image_and_views_of_it_with_outlines(data, tmp_path, sheets):
    preview(data, tmp_path / "sheet.png", size=32, rows=2)
    (tiles,) = sheets
    assert len(tiles) == 2 * (1 + VIEWS)
    assert tiles[0].title.startswith("synthetic-0-")
    assert tiles[0].title != tiles[1 + VIEWS].title
    pictures = [tile.picture for tile in tiles]
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)
    outlined = [np.abs(picture.astype(int) - TARGET_COLOUR).sum(axis=2).min() for picture in pictures]
    assert np.median(outlined) < 60


def test_the_seed_chooses_images_and_views(data, tmp_path, sheets):
    for seed in (0, 0, 1):
        preview(data, tmp_path / "sheet.png", size=32, rows=1, seed=seed)
    first, again, other = ([tile.picture.tobytes() for tile in tiles] for tiles in sheets)
    assert first == again
    assert set(first).isdisjoint(other)


def test_images_come_into_the_square_and_are_cleaned_as_in_training(tmp_path, sheets, monkeypatch):
    wide = np.random.default_rng(0).integers(0, 255, (40, 80, 3), np.uint8)
    lesion = np.zeros((40, 80), np.uint8)
    lesion[10:30, 30:50] = 255
    for folder, pixels in (("images", wide), ("masks", lesion)):
        (tmp_path / folder).mkdir()
        Image.fromarray(pixels).save(tmp_path / folder / "wide.png")
    monkeypatch.setattr("dermseg.data.preview.draw_outline", lambda image, mask, _: image * ~mask[..., None])
    for geometry in ("squash", "fit", "crop"):
        for steps in ([], ["shades_of_grey"]):
            preview(tmp_path, tmp_path / "sheet.png", size=32, geometry=geometry, preprocessing=steps)
            cache = prepare(
                read_collection(tmp_path, "folder").pairs,
                32,
                tmp_path / "cache",
                geometry=geometry,
                preprocessing=steps,
            )
            shown = cache.images[0] * (1 - cache.masks[[0]][0])[..., None]
            np.testing.assert_array_equal(sheets[-1][0].picture, shown)


def test_files_that_cannot_be_read_are_reported_and_replaced(data, tmp_path, sheets):
    whole = {path: path.read_bytes() for path in sorted((data / "images").iterdir())}
    for path in list(whole)[:3]:
        path.write_bytes(whole[path][: len(whole[path]) // 2])
    problems = preview(data, tmp_path / "sheet.png", size=32, rows=2)
    assert {problem.path for problem in problems} == set(list(whole)[:3])
    assert sheets[0][0].title == list(whole)[3].stem
    list(whole)[3].write_bytes(b"")
    with pytest.raises(DataError, match=r"no usable pair|no image that can be shown"):
        preview(data, tmp_path / "sheet.png", size=32)
    assert len(sheets) == 1


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        ("sheet.jpg", {}, r"must end in \.png"),
        ("sheet.png", {"rows": 0}, "rows=0 must be from 1 to 100"),
        ("sheet.png", {"rows": 10**9}, "rows=1000000000 must be"),
        ("sheet.png", {"size": 8}, "size=8 must be from 16 to 2048"),
        ("sheet.png", {"size": 10**9}, "size=1000000000 must be"),
        ("sheet.png", {"preset": "wild"}, "no preset 'wild'"),
        ("sheet.png", {"seed": -1}, "seed=-1"),
        ("sheet.png", {"geometry": "bend"}, "geometry is 'bend'"),
        ("sheet.png", {"preprocessing": ["wash"]}, "no step 'wash'"),
    ],
)
def test_impossible_arguments(data, tmp_path, out, options, message):
    with pytest.raises(ConfigError, match=message):
        preview(data, tmp_path / out, **options)


def test_the_command_names_broken_files_and_the_sheet(data, tmp_path, sheets, capsys):
    assert main(["data", "preview", str(data), "--out", str(tmp_path / "sheet.png"), "--size", "32"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'sheet.png'}\n"
    broken = sorted((data / "images").iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:900])
    assert main(["data", "preview", str(data), "--size=32", "--preset=strong", "--rows=9"]) == 1
    assert str(broken) in capsys.readouterr().out
    assert main(["data", "preview", str(data), "--out=sheet.tif"]) == 2
    assert "must end in .png" in capsys.readouterr().err
