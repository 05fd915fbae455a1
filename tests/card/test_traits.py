"""Labels of what images show besides their lesions."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from dermseg.card.traits import traits
from dermseg.data.pairs import Pair

SIDE = 200
SKIN = np.full((SIDE, SIDE, 3), (210, 170, 150), np.uint8)


def lesion(shade):
    y, x = np.mgrid[:SIDE, :SIDE]
    mask = np.hypot(y - 100, x - 100) < 40
    image = SKIN.copy()
    image[mask] = shade
    return image, mask


def hairy(image):
    picture = Image.fromarray(image)
    for start in range(10, SIDE, 18):
        ImageDraw.Draw(picture).line((start, 0, start + 30, SIDE), fill=(30, 20, 20), width=2)
    return np.asarray(picture)


def with_corners(image, count):
    image = image.copy()
    for rows, columns in [(0, 0), (0, 1), (1, 0), (1, 1)][:count]:
        image[rows * 160 : rows * 160 + 40, columns * 160 : columns * 160 + 40] = 0
    return image


@pytest.fixture
def found(tmp_path):
    dark, mask = lesion((70, 50, 40))
    images = {
        "plain": dark,
        "pale": lesion((190, 150, 130))[0],
        "middling": lesion((130, 100, 90))[0],
        "hairy": hairy(dark),
        "corners": with_corners(dark, 4),
        "corner": with_corners(dark, 1),
    }
    pairs = []
    for name, image in images.items():
        pairs.append(Pair(name, tmp_path / f"{name}.png", tmp_path / f"{name}_mask.png"))
        Image.fromarray(image).save(pairs[-1].image)
        Image.fromarray(mask).save(pairs[-1].mask)
    return traits(pairs)


def test_hair_is_what_was_drawn(found):
    assert found["hair"]["hairy"] == "much"
    assert found["hair"]["plain"] == found["hair"]["pale"] == "none found"


def test_dark_corners_are_counted(found):
    labels = found["dark corners"]
    assert (labels["corners"], labels["corner"]) == ("three or four", "one or two")
    assert labels["plain"] == labels["hairy"] == "none"


def test_contrast_and_sharpness_are_thirds_of_the_images(found):
    assert found["contrast to the skin"]["pale"] == "lowest third"
    assert found["sharpness"]["hairy"] == "highest third"
    assert found["sharpness"]["pale"] == "lowest third"


def test_the_least_come_first(found):
    assert list(dict.fromkeys(found["dark corners"].values())) == ["none", "one or two", "three or four"]
