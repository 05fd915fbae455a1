"""Shades of grey."""

import numpy as np
import pytest

from dermseg.data.preprocessing.colour_constancy import shades_of_grey


def neutral() -> np.ndarray:
    """An image without a cast: greys, and colours whose channels have the same distribution."""
    generator = np.random.default_rng(0)
    grey = generator.integers(20, 150, (40, 30, 1))
    third = generator.integers(20, 150, (40, 30))
    colours = np.stack([np.roll(third, shift, axis=0) for shift in (0, 7, 19)], axis=2)
    return np.concatenate([np.repeat(grey, 3, axis=2), colours], axis=1).astype(np.uint8)


@pytest.mark.parametrize("norm", [1.0, 6.0, 20.0])
def test_a_known_cast_is_undone(norm):
    image = neutral()
    cast = np.array([1.25, 1.0, 0.7])
    seen = np.rint(image * cast).astype(np.uint8)
    restored = shades_of_grey(seen, norm).astype(float)
    # Up to brightness, which is kept.
    strength = (restored * image).sum() / (image.astype(float) ** 2).sum()
    assert np.abs(restored / strength - image).max() < 3
    assert np.abs(seen / strength - image).mean() > 10


def test_an_image_without_a_cast_stays():
    assert np.abs(shades_of_grey(neutral()).astype(int) - neutral()).max() <= 1


def test_brightness_stays():
    seen = np.rint(neutral() * np.array([1.2, 0.9, 0.8])).astype(np.uint8)
    assert shades_of_grey(seen).mean() == pytest.approx(seen.mean(), rel=0.05)


def test_a_black_frame_changes_nothing():
    seen = np.rint(neutral() * np.array([1.2, 0.9, 0.8])).astype(np.uint8)
    framed = np.pad(seen, ((30, 30), (30, 30), (0, 0)))
    np.testing.assert_array_equal(shades_of_grey(framed)[30:-30, 30:-30], shades_of_grey(seen))


@pytest.mark.parametrize("colour", [(0, 0, 0), (200, 0, 0), (255, 255, 255)])
def test_colours_without_a_cast_to_speak_of(colour):
    image = np.full((4, 5, 3), colour, np.uint8)
    result = shades_of_grey(image)
    assert (result.shape, result.dtype) == (image.shape, np.uint8)
    assert ((result > 0) == (image > 0)).all()
