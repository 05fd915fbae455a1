"""The compiled kernels against the operators of PyTorch."""

from dataclasses import replace

import pytest
import torch

from dermseg.data.augmentation import cpu, geometry, light
from dermseg.data.augmentation.draws import Draws
from dermseg.data.augmentation.settings import STRONG

SIZES = [(64, 64), (33, 150), (5, 70), (2, 3), (1, 1)]
WILD = replace(STRONG, scale=1.0, aspect=1.0, shift=0.3, elastic=0.08)


def batch(size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor, Draws]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (5, 3, *size), generator=generator, dtype=torch.uint8)
    masks = torch.randint(0, 256, (5, 2, *size), generator=generator, dtype=torch.uint8)
    return images, masks, Draws(5, generator, torch.device("cpu"))


@pytest.mark.parametrize("size", SIZES)
def test_sampling(size):
    images, masks, draws = batch(size)
    points = geometry.control_points(draws, WILD, *size)
    views, moved = cpu.sample(images, masks, points)
    expected, expected_masks = geometry.sample(images, masks, points)
    assert (views.int() - expected.int()).abs().max() <= 1
    assert (views != expected).float().mean() < 0.01
    # A place in the very middle between two pixels may go to either.
    assert (moved != expected_masks).float().mean() < 0.002


@pytest.mark.parametrize("size", SIZES)
def test_recolouring(size):
    images, masks, draws = batch(size)
    matrices, offsets = light.rendering(images, draws, WILD)
    rows, columns = light.gains(masks, draws, WILD)
    arguments = images, matrices, offsets, rows, columns, light.exponents(draws, WILD)
    result, expected = cpu.recolour(*arguments), light.recolour(*arguments)
    assert (result.int() - expected.int()).abs().max() <= 1
    assert (result != expected).float().mean() < 0.1


def test_tensors_that_are_not_contiguous():
    images, masks, draws = batch((32, 32))
    points = geometry.control_points(draws, WILD, 32, 32)
    expected = cpu.sample(images, masks, points)
    strided = (x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2) for x in (images, masks, points))
    assert all(map(torch.equal, cpu.sample(*strided), expected))
