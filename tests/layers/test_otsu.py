"""Otsu's threshold against a search over all levels, and against scikit-image where that is installed."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dermseg.layers.otsu import otsu_masks, otsu_threshold

LEVELS = st.lists(st.integers(0, 255), min_size=2, max_size=60)


def within(pixels, threshold):
    """Sum of squares within the two classes, in exact fractions of 1 / len."""
    classes = [[p for p in pixels if p <= threshold], [p for p in pixels if p > threshold]]
    return sum(sum(p * p for p in part) - sum(part) ** 2 / len(part) for part in classes if part)


@given(LEVELS)
def test_no_level_parts_the_pixels_better(pixels):
    found = otsu_threshold(torch.tensor([pixels])).item()
    best = min(within(pixels, level) for level in range(256))
    assert within(pixels, found) == pytest.approx(best, rel=1e-9, abs=1e-6)


@given(LEVELS.filter(lambda pixels: len(set(pixels)) > 1), st.integers(0, 99))
def test_equals_scikit_image(pixels, seed):
    filters = pytest.importorskip("skimage.filters")
    image = np.array([pixels + np.random.default_rng(seed).integers(0, 256, 200).tolist()], np.uint8)
    assert otsu_threshold(torch.from_numpy(image).long()).item() == filters.threshold_otsu(image)


def test_each_image_has_its_own_threshold():
    levels = torch.tensor([[10, 10, 200, 200], [100, 100, 110, 110], [7, 7, 7, 7]])
    assert otsu_threshold(levels).tolist() == [10, 100, 0]


def square(colour, background):
    image = torch.tensor(background).view(3, 1, 1).expand(3, 24, 24).clone()
    image[:, 8:16, 8:16] = torch.tensor(colour).view(3, 1, 1)
    return image[None]


def test_the_brighter_side_is_marked():
    mask = otsu_masks(square((60, 40, 30), (220, 180, 170)))
    assert mask.shape == (1, 1, 24, 24)
    assert mask.dtype == torch.bool
    assert not mask[0, 0, 9:15, 9:15].any()
    assert mask[0, 0, :6].all()


def test_grey_weighs_green_most_and_blue_least():
    blue_on_green = otsu_masks(square((0, 0, 200), (0, 200, 0)))
    assert not blue_on_green[0, 0, 12, 12]
    assert blue_on_green[0, 0, 0, 0]


def test_a_single_bright_pixel_is_blurred_away():
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 2, (1, 1, 40, 40), generator=generator).expand(1, 3, 40, 40) * 100
    speckled = otsu_masks(image).float()
    # Speckles of one pixel would be marked as they are; the mask of the blurred image has larger patches.
    assert (speckled.diff(dim=-1) != 0).float().mean() < 0.6 * (image[:, :1].diff(dim=-1) != 0).float().mean()


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 2)])
def test_tiny_and_plain_images_have_a_mask(size):
    assert otsu_masks(torch.full((2, 3, *size), 128)).all()
    assert not otsu_masks(torch.zeros(1, 3, *size)).any()


def test_precision_does_not_change_the_mask():
    images = torch.randint(0, 256, (2, 3, 33, 21), generator=torch.Generator().manual_seed(0))
    expected = otsu_masks(images.double())
    noise = 1e-3 * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    assert torch.equal(otsu_masks(images.float() + noise), expected)
    assert torch.equal(otsu_masks(images), expected)
