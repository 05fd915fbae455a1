"""What one image and its mask measure, on shapes whose numbers are known."""

import numpy as np
import pytest

from dermseg.data.quality.measures import Measures, cielab, measure_colours, measure_pair

SKIN, LESION = (222, 184, 160), (110, 70, 55)


def rectangle(height, width, rows, columns):
    mask = np.zeros((height, width), bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


def disc(side, radius, centre=None):
    row, column = centre or (side / 2, side / 2)
    rows, columns = np.ogrid[:side, :side]
    return np.hypot(rows + 0.5 - row, columns + 0.5 - column) <= radius


def picture(mask, lesion=LESION, skin=SKIN):
    return np.where(mask[..., None], np.uint8(lesion), np.uint8(skin))


def measured(mask) -> Measures:
    return measure_pair("a", picture(mask), mask)


def test_size_area_and_centre():
    pair = measured(rectangle(60, 100, (10, 30), (50, 90)))
    assert (pair.height, pair.width) == (60, 100)
    assert pair.area_share == pytest.approx(20 * 40 / 6000)
    assert pair.centre == pytest.approx((20 / 60, 70 / 100))


def test_centre_of_a_lopsided_mask():
    mask = rectangle(8, 8, (0, 4), (0, 2))
    mask[0] = True
    rows, columns = np.nonzero(mask)
    assert measured(mask).centre == pytest.approx(((rows.mean() + 0.5) / 8, (columns.mean() + 0.5) / 8))


def test_pieces_that_touch_at_a_corner_are_one():
    mask = rectangle(20, 20, (2, 6), (2, 6)) | rectangle(20, 20, (6, 8), (6, 8))
    assert measured(mask).components == 1
    apart = mask | rectangle(20, 20, (15, 17), (15, 20))
    pair = measured(apart)
    assert pair.components == 2
    assert pair.largest_share == pytest.approx(20 / 30)


def test_holes_are_skin_that_the_lesion_surrounds():
    mask = rectangle(30, 30, (5, 25), (5, 25))
    mask[8:10, 8:10] = False
    mask[15:18, 15:18] = False
    pair = measured(mask)
    assert pair.holes == 2
    assert pair.hole_share == pytest.approx((4 + 9) / 400)


@pytest.mark.parametrize("gap", [(slice(10, 12), slice(0, 3)), (slice(0, 3), slice(10, 12))])
def test_a_bay_of_skin_at_the_edge_of_the_image_is_no_hole(gap):
    mask = np.ones((20, 20), bool)
    mask[gap] = False
    assert (measured(mask).holes, measured(mask).hole_share) == (0, 0)


def test_a_hole_that_opens_at_a_corner_only_is_a_hole():
    mask = np.ones((9, 9), bool)
    mask[4, 4] = mask[3, 3] = False
    assert measured(mask).holes == 2


@pytest.mark.parametrize(
    ("rows", "columns", "sides"),
    [
        ((0, 5), (3, 7), ("top",)),
        ((5, 10), (0, 12), ("bottom", "left", "right")),
        ((2, 5), (2, 5), ()),
        ((0, 10), (0, 12), ("top", "bottom", "left", "right")),
    ],
)
def test_sides_that_the_lesion_touches(rows, columns, sides):
    assert measured(rectangle(10, 12, rows, columns)).sides == sides


def test_darker_inside_is_below_zero_and_lighter_above():
    mask = disc(120, 30)
    dark = measure_colours(picture(mask), mask)
    light = measure_colours(picture(mask, SKIN, LESION), mask)
    assert dark is not None
    assert light is not None
    assert dark.lightness == pytest.approx(-light.lightness, abs=0.5)
    assert dark.lightness < -30
    assert dark.contrast == pytest.approx(light.contrast, abs=0.5)


def test_a_mask_beside_the_lesion_has_less_contrast_than_one_on_it():
    mask = disc(200, 40)
    image = picture(mask)
    right = measure_colours(image, mask)
    beside = measure_colours(image, disc(200, 25, (30, 170)))
    assert right is not None
    assert beside is not None
    assert beside.contrast < 1 < right.contrast


def test_the_black_frame_of_the_lens_is_not_taken_for_skin():
    mask = disc(200, 60)
    image = picture(mask)
    image[~disc(200, 68)] = 0
    colours = measure_colours(image, mask)
    assert colours is not None
    assert colours.lightness < -30


@pytest.mark.parametrize("mask", [np.ones((50, 50), bool), rectangle(50, 50, (0, 1), (0, 2))])
def test_where_one_side_of_the_border_is_missing_nothing_is_said_of_colours(mask):
    assert measured(mask).colours is None


def test_the_camera_s_resolution_changes_colours_little():
    small = disc(250, 60)
    large = np.kron(small, np.ones((4, 4), bool))
    one, other = measure_colours(picture(small), small), measure_colours(picture(large), large)
    assert one is not None
    assert other is not None
    assert one.contrast == pytest.approx(other.contrast, rel=0.02)


def test_cielab_of_known_colours():
    # Published values (D65): white, black, pure red, green and blue, middle grey.
    known = {
        (255, 255, 255): (100, 0, 0),
        (0, 0, 0): (0, 0, 0),
        (255, 0, 0): (53.24, 80.09, 67.20),
        (0, 255, 0): (87.73, -86.18, 83.18),
        (0, 0, 255): (32.30, 79.19, -107.86),
        (119, 119, 119): (50.03, 0, 0),
    }
    lab = cielab(np.array([list(known)], np.uint8))
    np.testing.assert_allclose(lab[0], list(known.values()), atol=0.1)
