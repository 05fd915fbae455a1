"""Where the pixels of a view come from."""

from dataclasses import replace

import pytest
import torch

from dermseg.data.augmentation import device, geometry
from dermseg.data.augmentation.draws import Draws
from dermseg.data.augmentation.settings import NONE, Augmentation


def control_points(drawn: Draws, augmentation: Augmentation, height: int, width: int) -> torch.Tensor:
    return torch.from_numpy(geometry.control_points(drawn, augmentation, height, width))


def draws(count: int = 3) -> Draws:
    return Draws(count, torch.Generator().manual_seed(0))


def test_without_a_warp_the_surface_is_pytorchs_affine_grid():
    drawn = draws()
    moving = replace(NONE, rotation=180.0, scale=0.5, shift=0.2, aspect=0.3, mirror=True)
    points = control_points(drawn, moving, 9, 9)
    maps = torch.from_numpy(geometry.affine_maps(drawn, moving))
    expected = torch.nn.functional.affine_grid(maps, [3, 1, 9, 9], align_corners=False)
    torch.testing.assert_close(device.places(points, 9, 9).permute(0, 2, 3, 1), expected)


def test_the_warp_stays_within_its_range_and_does_not_fold():
    points = control_points(draws(50), replace(NONE, elastic=0.08), 64, 64)
    at = device.places(points, 64, 64)
    still = device.places(control_points(draws(50), NONE, 64, 64), 64, 64)
    moved = (at - still).abs()
    assert 0.02 < moved.max() <= 0.16
    assert (at[:, 0].diff(dim=2) > 0).all()
    assert (at[:, 1].diff(dim=1) > 0).all()


def test_turning_does_not_shear_images_that_are_not_square():
    at = device.places(control_points(draws(8), replace(NONE, rotation=180.0), 20, 40), 20, 40)
    pixels = at * torch.tensor([20.0, 10.0]).view(1, 2, 1, 1)
    steps = torch.stack([pixels.diff(dim=3)[:, :, 0, 0], pixels.diff(dim=2)[:, :, 0, 0]])
    torch.testing.assert_close(steps.norm(dim=2), torch.ones(2, 8))
    assert (steps[0] * steps[1]).sum(dim=1).abs().max() < 1e-4


def test_what_lies_beyond_the_frame_is_the_strip_inside_its_edge():
    at = torch.tensor([0.3, 1.0, 1.1, 1.3, 1.5, 1.8, 1.9, 2.2, 2.6, -1.1, -1.5])
    expected = torch.tensor([0.3, 1.0, 0.9, 0.7, 0.7, 1.0, 0.9, 0.6, 1.0, -0.9, -0.7])
    torch.testing.assert_close(device.folded(at), expected)


@pytest.mark.parametrize("size", [(16, 16), (7, 12)])
def test_still_places_give_the_images_back(size):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, *size), generator=generator, dtype=torch.uint8)
    masks = torch.randint(0, 2, (2, 2, *size), generator=generator, dtype=torch.uint8)
    views, moved = torch.empty_like(images), torch.empty_like(masks)
    points = geometry.control_points(draws(2), NONE, *size)
    device.sample(images, masks, points, views, moved)
    assert (views.int() - images.int()).abs().max() <= 1
    assert torch.equal(moved, masks)
