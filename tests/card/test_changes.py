"""Graded changes: image and mask move together, and 'no change' changes nothing."""

import numpy as np
import pytest

from dermseg.card.changes import CORRUPTIONS, INVARIANCES


@pytest.fixture
def pair():
    """Return an image whose lesion, a dark box off the middle, is known exactly."""
    image = np.full((96, 120, 3), 200, np.uint8)
    mask = np.zeros((96, 120), bool)
    mask[30:60, 40:90] = True
    image[mask] = 60
    return image, mask


def generator():
    return np.random.default_rng(0)


GEOMETRIC = {"rotation", "closer crop", "wider frame", "aspect", *INVARIANCES}
ALL = [
    (name, level) for table in (CORRUPTIONS, INVARIANCES) for name in table for level in table[name].levels
]


@pytest.mark.parametrize(("name", "level"), ALL)
def test_the_mask_stays_on_the_lesion(pair, name, level):
    image, mask = pair
    changed, area = {**CORRUPTIONS, **INVARIANCES}[name].change(image, mask, level, generator())
    assert changed.dtype == np.uint8
    assert area.dtype == bool
    assert changed.shape == (*area.shape, 3)
    if name in GEOMETRIC:
        dark = changed[..., 0] < 130
        assert np.count_nonzero(dark != area) < 0.05 * np.count_nonzero(area)
    else:
        assert np.array_equal(area, mask)
        assert not np.array_equal(changed, image)


@pytest.mark.parametrize(
    ("name", "nothing"),
    [("blur", 0), ("noise", 0), ("darker", 1), ("hair", 0), ("closer crop", 1), ("wider frame", 0)],
)
def test_the_lowest_level_changes_nothing(pair, name, nothing):
    image, mask = pair
    changed, area = CORRUPTIONS[name].change(image, mask, nothing, generator())
    assert np.abs(changed.astype(int) - image).max() <= 1
    assert np.array_equal(area, mask)


def test_four_quarter_turns_are_none(pair):
    image, mask = pair
    for _ in range(4):
        image, mask = INVARIANCES["quarter turn"].change(image, mask, 90, generator())
    assert np.array_equal(image, pair[0])
    assert np.array_equal(mask, pair[1])


def test_levels_grow_in_effect(pair):
    image, mask = pair
    for name in ("blur", "noise", "JPEG", "darker", "dark corners"):
        graded = CORRUPTIONS[name]
        moved = [
            np.abs(graded.change(image, mask, level, generator())[0].astype(int) - image).mean()
            for level in graded.levels
        ]
        assert moved == sorted(moved), name
        assert moved[0] < moved[-1], name
