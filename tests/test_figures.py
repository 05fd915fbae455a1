import numpy as np
import pytest
from PIL import Image

from dermseg.figures import (
    PREDICTION_COLOUR,
    TARGET_COLOUR,
    Tile,
    contact_sheet,
    draw_outline,
    outlined_thumbnail,
)


def square(side, start, stop):
    mask = np.zeros((side, side), bool)
    mask[start:stop, start:stop] = True
    return mask


def has_colour(picture, colour):
    return (np.abs(picture.astype(int) - colour).max(axis=2) < 60).any()


@pytest.mark.parametrize("side", [16, 64, 1000])
def test_outline_is_on_the_border_and_nowhere_else(side):
    image = np.full((side, side, 3), 120, np.uint8)
    mask = square(side, side // 4, 3 * side // 4)
    drawn = draw_outline(image, mask)
    changed = (drawn != image).any(axis=2)
    assert has_colour(drawn, PREDICTION_COLOUR)
    reach = max(4, side // 80)
    near = square(side, side // 4 - reach, 3 * side // 4 + reach) & ~square(
        side, side // 4 + reach, 3 * side // 4 - reach
    )
    assert changed[mask & ~square(side, side // 4 + 1, 3 * side // 4 - 1)].all()
    assert not changed[~near].any()
    assert (image == 120).all()


def test_line_grows_with_the_image():
    def share(side):
        drawn = draw_outline(np.zeros((side, side, 3), np.uint8), square(side, side // 4, side // 2))
        return drawn[3 * side // 8, :, 2].mean() / 255

    assert share(1500) == pytest.approx(share(800), rel=0.35)
    assert share(1500) == pytest.approx(share(3000), rel=0.2)


@pytest.mark.parametrize("mask", [np.ones((1, 1), bool), np.ones((40, 30), bool), np.eye(25, dtype=bool)])
def test_masks_at_the_frame_can_be_drawn(mask):
    drawn = draw_outline(np.zeros((*mask.shape, 3), np.uint8), mask)
    assert drawn.any()


def test_without_a_lesion_the_image_stays():
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(draw_outline(image, np.zeros((9, 7), bool)), image)


def test_thumbnails_keep_their_shape_and_all_outlines():
    mask = square(400, 100, 300)[:, :350]
    picture = outlined_thumbnail(
        np.full((400, 350, 3), 90, np.uint8),
        [(mask, TARGET_COLOUR), (np.roll(mask, 30, axis=0), PREDICTION_COLOUR)],
        side=200,
    )
    assert picture.shape == (200, 175, 3)
    assert has_colour(picture, TARGET_COLOUR)
    assert has_colour(picture, PREDICTION_COLOUR)


@pytest.mark.parametrize("count", [1, 5])
def test_sheet_holds_every_tile(tmp_path, count):
    colours = [(255 * (k & 1), 255 * (k >> 1 & 1), 255 * (k >> 2 & 1)) for k in range(count)]
    # A name may be in any script, look like markup, or be no text at all.
    names = ["$ _شامة", "\udcff\udcfe.jpg", "two\nlines", "$\\frac{1}$", "[b]"]
    tiles = [
        Tile(np.full((30, 40, 3), colour, np.uint8), name)
        for colour, name in zip(colours, names[:count], strict=True)
    ]
    contact_sheet(tiles, tmp_path / "s.png", title="all \udcff", legend=[("target", TARGET_COLOUR)])
    sheet = np.asarray(Image.open(tmp_path / "s.png").convert("RGB"))
    for colour in colours:
        assert (sheet == colour).all(axis=2).mean() > 0.02
