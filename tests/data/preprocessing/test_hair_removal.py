"""Removal of dark hair."""

import numpy as np
import pytest

from dermseg.data.artefacts import add_hair
from dermseg.data.preprocessing.hair_removal import find_hair, remove_hair

SIDE = 160


def skin(seed: int = 0) -> np.ndarray:
    """Light skin with a soft dark disc and some grain, uint8."""
    at = np.arange(SIDE) / SIDE - 0.5
    depth = 1 / (1 + np.exp((np.hypot(at[None, :], at[:, None]) - 0.22) / 0.02))
    image = np.array([200, 150, 130]) - depth[..., None] * np.array([70, 80, 60])
    grain = np.random.default_rng(seed).normal(0, 2, (SIDE, SIDE, 3))
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def dark_hair(image: np.ndarray) -> np.ndarray:
    # The third generator draws dark hair in all directions.
    result = add_hair((image / 255).astype(np.float32), np.random.default_rng(2), 12)
    return np.rint(result * 255).astype(np.uint8)


def error(image: np.ndarray, other: np.ndarray, where: np.ndarray) -> float:
    return float(np.abs(image.astype(int) - other)[where].mean())


def test_hair_is_found_and_removed():
    clean = skin()
    hairy = dark_hair(clean)
    where = np.abs(hairy.astype(int) - clean).max(axis=2) > 20
    assert 0.02 < where.mean() < 0.4
    found = find_hair(hairy)
    assert found[where].mean() > 0.75
    assert found[~where].mean() < 0.03
    assert error(remove_hair(hairy), clean, where) < 0.25 * error(hairy, clean, where)
    assert error(remove_hair(hairy), clean, ~where) < error(hairy, clean, ~where) + 1


def test_skin_without_hair_stays_as_it_is():
    np.testing.assert_array_equal(remove_hair(skin()), skin())


def test_what_is_round_or_short_is_no_hair():
    image = skin()
    at = np.arange(SIDE)
    for row, column, radius in ((30, 30, 6), (120, 40, 2), (40, 120, 4)):
        image[np.hypot(at[None, :] - column, at[:, None] - row) < radius] = 30
    image[140, 100:112] = 20
    np.testing.assert_array_equal(remove_hair(image), image)


@pytest.mark.parametrize("size", [(8, 8), (5, 90), (64, 100)])
def test_any_size_and_the_border(size):
    image = np.full((*size, 3), 180, np.uint8)
    image[:, size[1] // 2] = 30
    result = remove_hair(image)
    assert (result.shape, result.dtype) == (image.shape, np.uint8)
    if min(size) > 20:
        assert result.min() > 150


def test_all_dark_or_all_light_images_stay():
    for level in (0, 255):
        image = np.full((20, 20, 3), level, np.uint8)
        np.testing.assert_array_equal(remove_hair(image), image)


def test_the_input_is_left_alone():
    hairy = dark_hair(skin())
    before = hairy.copy()
    remove_hair(hairy)
    np.testing.assert_array_equal(hairy, before)
