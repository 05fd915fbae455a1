"""Light and colour: matrix, field and curve."""

from dataclasses import replace

import pytest
import torch

from dermseg.data.augmentation import light
from dermseg.data.augmentation.draws import Draws
from dermseg.data.augmentation.settings import NONE

SIZE = 64


def draws(count: int, seed: int = 0) -> Draws:
    return Draws(count, torch.Generator().manual_seed(seed), torch.device("cpu"))


def disc(count: int, radius: float, x: float = 0.5, y: float = 0.5) -> torch.Tensor:
    """Masks (count, 1, SIZE, SIZE) of a disc; lengths as shares of the side."""
    at = (torch.arange(SIZE) + 0.5) / SIZE
    inside = torch.hypot(at[None, :] - x, at[:, None] - y) < radius
    return inside.to(torch.uint8).expand(count, 1, SIZE, SIZE)


def test_a_gradient_lights_opposite_edges_differently_and_the_middle_not():
    field = light.gains(disc(20, 0.2), draws(20), replace(NONE, gradient=0.3))
    torch.testing.assert_close(field.mean(dim=(1, 2)), torch.ones(20))
    opposite = (field[:, 0].mean(dim=1) - field[:, -1].mean(dim=1)).abs()
    assert 0.4 < opposite.max() < 0.6
    assert field.min() > 0.3


def test_a_vignette_is_darkest_in_the_corners():
    field = light.gains(disc(20, 0.2), draws(20), replace(NONE, vignette=1.0, vignette_loss=0.5))
    assert (field[:, SIZE // 2, SIZE // 2] > 0.99).all()
    corners = field[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners < 1).all()
    assert 0.5 <= corners.min() < 0.6
    assert field.min() == corners.min()


def test_corners_are_black_in_the_share_of_images_that_is_asked_for():
    field = light.gains(disc(400, 0.2), draws(400), replace(NONE, corners=0.25))
    black = (field[:, [0, 0, -1, -1], [0, -1, 0, -1]] < 0.1).any(dim=1)
    assert 60 < black.sum() < 130
    assert (field[:, SIZE // 2, SIZE // 2] > 0.99).all()


@pytest.mark.parametrize(("radius", "x", "y"), [(0.45, 0.5, 0.5), (0.25, 0.8, 0.75), (0.8, 0.5, 0.5)])
def test_corners_never_cover_the_lesion(radius, x, y):
    masks = disc(50, radius, x, y)
    field = light.gains(masks, draws(50), replace(NONE, corners=1.0, corner_radius=0.2))
    assert field[masks[:, 0] > 0].min() > 0.9


def test_only_the_first_layer_is_the_lesion():
    masks = torch.cat([disc(4, 0.1), torch.ones(4, 1, SIZE, SIZE, dtype=torch.uint8)], dim=1)
    field = light.gains(masks, draws(4), replace(NONE, corners=1.0))
    assert field.min() < 0.01


def test_recolouring_is_matrix_field_and_curve():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 5, 6), generator=generator, dtype=torch.uint8)
    matrices = torch.eye(3) + 0.1 * torch.randn(2, 3, 3, generator=generator)
    offsets = 5 * torch.randn(2, 3, generator=generator)
    field = 0.5 + torch.rand(2, 5, 6, generator=generator)
    powers = torch.tensor([0.8, 1.3])
    result = light.recolour(images, matrices, offsets, field, powers)
    linear = torch.einsum("bij,bjyx->biyx", matrices.double(), images.double()) + offsets[..., None, None]
    values = (linear * field[:, None] / 255).clamp(0, 1) ** powers.view(2, 1, 1, 1) * 255
    assert (result - values).abs().max() <= 1.01
    assert (result - values).abs().mean() < 0.4


def test_white_balance_changes_red_and_blue_against_green():
    images = torch.full((30, 3, 8, 8), 120, dtype=torch.uint8)
    balanced = replace(NONE, white_balance=0.2)
    matrices, offsets = light.rendering(images, draws(30), balanced)
    colour = (matrices @ torch.full((30, 3, 1), 120.0)).squeeze(2) + offsets
    torch.testing.assert_close(colour[:, 1], torch.full((30,), 120.0))
    for channel in (0, 2):
        assert 100 < colour[:, channel].max() - 1 < 145
        assert colour[:, channel].std() > 5
