"""How images of any shape come into a square."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermseg.data.geometry import GEOMETRIES, Area, check_geometry, place
from dermseg.errors import ConfigError

SIDES = st.integers(1, 7000)


@given(SIDES, SIDES, st.integers(1, 600), st.sampled_from(GEOMETRIES))
def test_areas_lie_inside_and_are_never_empty(height, width, size, geometry):
    source, target = place(height, width, size, geometry)
    for area, (rows, columns) in ((source, (height, width)), (target, (size, size))):
        assert min(area) >= 0
        assert min(area.height, area.width) >= 1
        assert area.top + area.height <= rows
        assert area.left + area.width <= columns


def test_squash_is_the_whole_frame_in_the_whole_square():
    assert place(30, 40, 16, "squash") == ((0, 0, 30, 40), (0, 0, 16, 16))


@given(SIDES, SIDES)
def test_fit_keeps_the_aspect_and_fills_the_long_side(height, width):
    source, target = place(height, width, 256, "fit")
    assert source == (0, 0, height, width)
    assert max(target.height, target.width) == 256
    scale = 256 / max(height, width)
    assert abs(target.height - max(1, scale * height)) <= 0.5
    assert abs(target.width - max(1, scale * width)) <= 0.5
    assert abs(2 * target.top + target.height - 256) <= 1
    assert abs(2 * target.left + target.width - 256) <= 1


@given(SIDES, SIDES)
def test_crop_is_the_largest_square_in_the_middle(height, width):
    source, target = place(height, width, 256, "crop")
    assert source.height == source.width == min(height, width)
    assert abs(2 * source.top + source.height - height) <= 1
    assert abs(2 * source.left + source.width - width) <= 1
    assert target == (0, 0, 256, 256)


def test_an_area_is_an_index_and_a_box():
    area = Area(top=1, left=2, height=3, width=4)
    assert area.slices == (slice(1, 4), slice(2, 6))
    assert area.corners == (2, 1, 6, 4)


def test_unknown_geometries_are_refused():
    assert check_geometry("fit") == "fit"
    with pytest.raises(ConfigError, match="geometry is 'letterbox'; choose squash, fit, crop"):
        check_geometry("letterbox")
