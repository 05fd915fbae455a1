"""The compiled operators against those of PyTorch."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from dermseg.data.augmentation import cpu, device
from dermseg.data.augmentation.draws import Draws
from dermseg.data.augmentation.geometry import control_points
from dermseg.data.augmentation.light import Opening, draw_light
from dermseg.data.augmentation.settings import STRONG

SIZES = [(64, 64), (33, 150), (150, 33), (5, 70), (2, 3), (1, 1)]
WILD = replace(STRONG, scale=1.0, aspect=1.0, shift=0.3, elastic=0.08, vignette=1.0)
OPENING = Opening(x=0.1, y=-0.05, stretch=1.1, radius=0.3, softness=0.1, rest=0.2)

pytestmark = pytest.mark.parametrize("size", SIZES)


def batch(size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (5, 3, *size), generator=generator, dtype=torch.uint8)
    return images, torch.randint(0, 256, (5, 2, *size), generator=generator, dtype=torch.uint8)


def draws() -> Draws:
    return Draws(5, torch.Generator().manual_seed(0))


def both(images: torch.Tensor, change: Callable) -> tuple[torch.Tensor, torch.Tensor]:
    """What the operators of a CPU and of a device make of the images, with 16 bits."""
    compiled, reference = images.clone(), images.clone()
    change(cpu, compiled.numpy())
    change(device, reference)
    assert not torch.equal(reference, images) or images.numel() == 15
    return compiled.short(), reference.short()


def test_sampling(size):
    images, masks = batch(size)
    points = control_points(draws(), WILD, *size)
    views, moved, expected, expected_masks = (torch.empty_like(x) for x in (images, masks) * 2)
    device.sample(images, masks, points, expected, expected_masks)
    cpu.sample(*(x.numpy() for x in (images, masks)), points, views.numpy(), moved.numpy())
    assert (views.short() - expected.short()).abs().max() <= 1
    assert (views != expected).float().mean() < 0.01
    # A place in the very middle between two pixels may go to either.
    assert (moved != expected_masks).float().mean() < 0.002


def test_recolouring(size):
    light = draw_light(draws(), WILD, *size)
    result, expected = both(batch(size)[0], lambda operators, images: operators.recolour(images, light))
    assert (result - expected).abs().max() <= 1
    assert (result != expected).float().mean() < 0.1


def test_laying(size):
    opacity = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    colour = np.array([10, 200, 90], np.uint8)
    images, _ = batch(size)
    result, expected = both(images[0], lambda operators, image: operators.lay(image, opacity, colour))
    assert (result - expected).abs().max() <= 1
    assert (result != expected).float().mean() < 0.01


@pytest.mark.parametrize("channels", [1, 3])
def test_adding(size, channels):
    values = np.random.default_rng(0).standard_normal((channels, *size), np.float32)
    images, _ = batch(size)
    result, expected = both(images[0], lambda operators, image: operators.add(image, values, 80))
    assert (result - expected).abs().max() <= 1
    assert (result != expected).float().mean() < 0.01


@pytest.mark.parametrize("kind", ["none", "a few pixels", "all"])
def test_darkening(size, kind):
    images, _ = batch(size)
    lesion = torch.full(size, int(kind == "all"), dtype=torch.uint8)
    if kind == "a few pixels":
        lesion[size[0] // 3, size[1] // 2 :] = 3
    compiled, expected = images[0].clone(), images[0].clone()
    cpu.darken(compiled.numpy(), lesion.numpy(), OPENING)
    device.darken(expected, lesion, OPENING)
    assert (compiled.short() - expected.short()).abs().max() <= 1
    assert torch.equal(compiled[:, lesion > 0], images[0][:, lesion > 0])
    if kind == "none" and min(size) > 1:
        assert not torch.equal(compiled, images[0])


@pytest.mark.parametrize("reach", [(0, 0), (1, 4), (100, 100)])
def test_blurring(size, reach):
    down, across = (
        np.random.default_rng(side).random(2 * min(most, side - 1) + 1, np.float32)
        for side, most in zip(size, reach, strict=True)
    )
    down, across = down / down.sum(), across / across.sum()
    images, _ = batch(size)
    compiled, expected = images[0].clone(), images[0].clone()
    cpu.blur(compiled.numpy(), down, across)
    device.blur(expected, down, across)
    assert (compiled.short() - expected.short()).abs().max() <= 1
    assert (compiled != expected).float().mean() < 0.01 or images.numel() < 100


def test_compressing(size):
    images, _ = batch(size)
    compiled, expected = images[0].clone(), images[0].clone()
    cpu.compress(compiled.numpy(), 30)
    device.compress(expected, 30)
    assert torch.equal(compiled, expected)
