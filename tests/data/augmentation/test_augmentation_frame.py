"""Frames around images."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dermseg.data.augmentation import cpu, device
from dermseg.data.augmentation.draws import Draws
from dermseg.data.augmentation.frame import Frame, draw_frame
from dermseg.data.augmentation.settings import NONE
from dermseg.data.augmentation.views import augment

FRAMED = replace(NONE, frame=1.0, frame_margin=0.4)


@pytest.mark.parametrize("size", [(64, 48), (33, 150), (2, 3), (1, 1)])
def test_an_image_keeps_its_share_of_the_frame(size):
    for draws in Draws(200, torch.Generator().manual_seed(0)).images():
        frame = draw_frame(draws, FRAMED, *size)
        for side, inside in zip(size, (frame.rows, frame.columns), strict=True):
            assert 0 <= inside.start < inside.stop <= side
            assert inside.stop - inside.start >= round(side / 1.8)


def test_all_kinds_of_frames_are_drawn():
    frames = [draw_frame(d, FRAMED, 64, 64) for d in Draws(300, torch.Generator().manual_seed(0)).images()]
    colours = {frame.colour for frame in frames}
    assert {None, (0, 0, 0), (255, 255, 255)} < colours
    assert len(colours) > 20
    across = [frame.rows == slice(0, 64) for frame in frames]
    down = [frame.columns == slice(0, 64) for frame in frames]
    assert any(across)
    assert any(down)
    assert not all(a or d for a, d in zip(across, down, strict=True))


@pytest.mark.parametrize("colour", [None, (10, 200, 90)])
@pytest.mark.parametrize("operators", [cpu, device])
def test_the_image_is_inside_and_the_frame_around_it(colour, operators):
    image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    image[:, :, 4:] = 100
    masks = torch.ones(1, 8, 8, dtype=torch.uint8)
    parts = (image, masks) if operators is device else (image.numpy(), masks.numpy())
    operators.set_into(*parts, Frame(slice(2, 6), slice(1, 5), colour))
    assert masks.sum() == 16
    assert masks[0, 2:6, 1:5].all()
    inside = image[0, 2:6, 1:5]
    assert (inside[:, 0] == 0).all()
    assert (inside[:, 3] == 100).all()
    if colour is None:
        assert torch.equal(image[:, 0], image[:, 2])
        assert (image[:, :, 7] == 100).all()
    else:
        assert image[:, 0, 0].tolist() == list(colour)
        assert image[:, 7, 7].tolist() == list(colour)


@pytest.mark.parametrize("size", [(64, 64), (33, 150), (2, 3), (1, 1)])
def test_both_modules_set_images_alike(size):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (20, 3, *size), generator=generator, dtype=torch.uint8)
    masks = torch.randint(0, 2, (20, 2, *size), generator=generator, dtype=torch.uint8)
    for image, mask, draws in zip(images, masks, Draws(20, generator).images(), strict=True):
        frame = draw_frame(draws, FRAMED, *size)
        compiled, compiled_mask = image.clone(), mask.clone()
        cpu.set_into(compiled.numpy(), compiled_mask.numpy(), frame)
        device.set_into(image, mask, frame)
        assert torch.equal(compiled_mask, mask)
        assert (compiled.short() - image.short()).abs().max() <= 1


def test_a_framed_view_has_no_lesion_in_its_frame():
    images = torch.full((8, 3, 32, 32), 120, dtype=torch.uint8)
    masks = torch.ones(8, 1, 32, 32, dtype=torch.uint8)
    views, moved = augment(images, masks, torch.Generator().manual_seed(1), FRAMED)
    plain = (views == 120).all(dim=1)
    assert ((moved[:, 0] == 1) <= plain).all()
    assert np.all(moved.numpy().reshape(8, -1).mean(axis=1) < 1)
