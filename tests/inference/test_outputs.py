import resource

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dermseg.data.images import read_mask
from dermseg.inference.outputs import (
    Box,
    is_output,
    measure,
    output_files,
    write_mask,
    write_outputs,
    write_overlay,
    write_probability,
)
from dermseg.inference.segmentation import Segmentation

from .fakes import disc, lesion_image


def segmentation(mask, inside=0.9, outside=0.1):
    probability = np.where(mask, np.float32(inside), np.float32(outside))
    return Segmentation(probability, mask, "image.png", "fake", 0.5)


def test_measurements_of_a_rectangle():
    mask = np.zeros((20, 30), bool)
    mask[3:8, 10:14] = True
    found = measure(segmentation(mask))
    assert (found.width, found.height, found.area) == (30, 20, 20)
    assert found.area_share == pytest.approx(20 / 600)
    assert found.box == Box(left=10, top=3, width=4, height=5)
    assert found.components == 1
    assert found.mean_probability == pytest.approx(0.9)


def test_measurements_without_a_lesion():
    found = measure(segmentation(np.zeros((5, 6), bool)))
    assert (found.area, found.area_share, found.box, found.components) == (0, 0.0, None, 0)
    assert found.mean_probability is None


def test_areas_that_touch_at_a_corner_are_one():
    mask = np.zeros((9, 9), bool)
    mask[1, 1] = mask[2, 2] = mask[7, 7] = True
    assert measure(segmentation(mask)).components == 2


def test_files_hold_what_they_say(tmp_path):
    mask = disc(40, 60)
    files = output_files(tmp_path, "x")
    write_outputs(segmentation(mask, 0.75, 0.25), lesion_image(mask), files)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "x_mask.png",
        "x_overlay.jpg",
        "x_probability.png",
    ]
    levels = np.asarray(Image.open(files.mask))
    assert levels.dtype == np.uint8
    assert set(np.unique(levels)) == {0, 255}
    np.testing.assert_array_equal(levels == 255, mask)
    np.testing.assert_array_equal(read_mask(files.mask), mask)
    assert set(np.unique(np.asarray(Image.open(files.probability)))) == {64, 191}
    with Image.open(files.overlay) as overlay:
        assert (overlay.size, overlay.mode) == ((60, 40), "RGB")


@given(st.floats(0, 1, width=32))
def test_probability_levels_from_128_are_the_mask_at_one_half(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("p") / "p.png"
    write_probability(np.full((1, 1), value, np.float32), path)
    assert (np.asarray(Image.open(path))[0, 0] >= 128) == (value >= 0.5)


def test_own_pictures_are_told_from_others(tmp_path):
    mask = disc(20, 20)
    files = output_files(tmp_path, "x")
    write_outputs(segmentation(mask), lesion_image(mask), files)
    assert all(map(is_output, (files.mask, files.probability, files.overlay)))
    for name in ("other.png", "other.jpg"):
        Image.fromarray(lesion_image(mask)).save(tmp_path / name)
    (tmp_path / "text.png").write_text("no image")
    assert not any(
        is_output(tmp_path / name) for name in ("other.png", "other.jpg", "text.png", "absent.png")
    )


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x_mask.png"
    write_mask(disc(10, 10), path)
    before = path.read_bytes()

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        write_mask(np.zeros((10, 10), bool), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_overlay_that_does_not_fit_is_no_file(tmp_path):
    mask = disc(40, 60)
    write_overlay(segmentation(mask), lesion_image(mask), tmp_path / "whole.jpg")
    size = (tmp_path / "whole.jpg").stat().st_size
    # As at the end of a disk: the last bytes of a write do not fit.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            write_overlay(segmentation(mask), lesion_image(mask), tmp_path / "cut.jpg")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["whole.jpg"]
