"""Light and colour: matrix, field and curve."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dermseg.data.augmentation import device, light
from dermseg.data.augmentation.draws import Draws
from dermseg.data.augmentation.settings import NONE

SIZE = 64


def draws(count: int, seed: int = 0) -> Draws:
    return Draws(count, torch.Generator().manual_seed(seed))


def disc(count: int, radius: float, x: float = 0.5, y: float = 0.5) -> torch.Tensor:
    """Masks (count, 1, SIZE, SIZE) of a disc; lengths as shares of the side."""
    at = (torch.arange(SIZE) + 0.5) / SIZE
    inside = torch.hypot(at[None, :] - x, at[:, None] - y) < radius
    return inside.to(torch.uint8).expand(count, 1, SIZE, SIZE)


def field(count: int, **changes: float) -> torch.Tensor:
    """The light (count, SIZE, SIZE) of images."""
    lit = light.draw_light(draws(count), replace(NONE, **changes), SIZE, SIZE)
    return torch.from_numpy(lit.rows[:, :, None] + lit.columns[:, None, :])


def through_opening(masks: torch.Tensor, **changes: float) -> torch.Tensor:
    """White images (B, SIZE, SIZE) with dark corners, in [0, 1]."""
    images = torch.full((len(masks), 3, SIZE, SIZE), 255, dtype=torch.uint8)
    augmentation = replace(NONE, **changes)
    for image, lesion, drawn in zip(images, masks[:, 0], draws(len(masks)).images(), strict=True):
        if drawn.happens("corners", augmentation):
            device.darken(image, lesion, light.draw_opening(drawn, augmentation))
    return images[:, 0] / 255


def test_a_gradient_lights_opposite_edges_differently_and_the_middle_not():
    lit = field(20, gradient=0.3)
    torch.testing.assert_close(lit.mean(dim=(1, 2)), torch.ones(20))
    opposite = (lit[:, 0].mean(dim=1) - lit[:, -1].mean(dim=1)).abs()
    assert 0.4 < opposite.max() < 0.6
    assert lit.min() > 0.3


def test_a_vignette_is_darkest_in_the_corners():
    lit = field(20, vignette=1.0, vignette_loss=0.5)
    assert (lit[:, SIZE // 2, SIZE // 2] > 0.99).all()
    corners = lit[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners < 1).all()
    assert 0.5 <= corners.min() < 0.6
    assert lit.min() == corners.min()


def test_corners_are_dark_in_the_share_of_images_that_is_asked_for():
    shown = through_opening(disc(400, 0.2), corners=0.25)
    darkest = shown[:, [0, 0, -1, -1], [0, -1, 0, -1]].amin(dim=1)
    assert 60 < (darkest < 0.4).sum() < 130
    assert (darkest == 0).any()
    assert (shown[:, SIZE // 2, SIZE // 2] == 1).all()


@pytest.mark.parametrize(("radius", "x", "y"), [(0.45, 0.5, 0.5), (0.25, 0.8, 0.75), (0.8, 0.5, 0.5)])
def test_corners_never_cover_the_lesion(radius, x, y):
    masks = disc(50, radius, x, y)
    shown = through_opening(masks, corners=1.0, corner_radius=0.2)
    assert (shown[masks[:, 0] > 0] == 1).all()


def test_recolouring_is_matrix_light_and_curve():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 5, 6), generator=generator, dtype=torch.uint8)
    matrices = torch.eye(3) + 0.1 * torch.randn(2, 3, 3, generator=generator)
    pulls = 0.05 * torch.randn(2, 3, generator=generator)
    rows, columns = torch.rand(2, 5, generator=generator), torch.rand(2, 6, generator=generator)
    powers = torch.tensor([0.8, 1.3])
    result = images.clone()
    parts = (part.numpy() for part in (matrices, pulls, rows, columns, powers))
    device.recolour(result, light.Light(*parts))
    grey = torch.einsum("c,bcyx->b", torch.tensor(light.GREY).double(), images.double()) / 30
    linear = torch.einsum("bij,bjyx->biyx", matrices.double(), images.double())
    linear += (pulls * grey[:, None])[..., None, None]
    lit = linear * (rows[:, None, :, None] + columns[:, None, None, :])
    values = (lit / 255).clamp(0, 1) ** powers.view(2, 1, 1, 1) * 255
    assert (result - values).abs().max() <= 0.51


def test_white_balance_changes_red_and_blue_against_green():
    lit = light.draw_light(draws(30), replace(NONE, white_balance=0.2), 8, 8)
    assert (lit.pulls == 0).all()
    colour = torch.from_numpy(lit.matrices @ np.full((30, 3, 1), 120, np.float32)).squeeze(2)
    torch.testing.assert_close(colour[:, 1], torch.full((30,), 120.0))
    for channel in (0, 2):
        assert 100 < colour[:, channel].max() - 1 < 145
        assert colour[:, channel].std() > 5
