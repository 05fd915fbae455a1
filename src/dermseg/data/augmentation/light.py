"""The light on a view and the camera's rendering of it: a matrix, a field and a curve for every image."""

import math

import torch
from torch import Tensor

from dermseg.data.augmentation.draws import Draws
from dermseg.data.augmentation.settings import Augmentation

_GREY = (0.299, 0.587, 0.114)
_LARGEST_RADIUS = 0.72
_LARGEST_STRETCH = 1.3
"""Of the opening's width against its height."""
_WIDEST_EDGE = 0.12
"""Of the opening, as a share of the side; contact plates leave a sharp one, lenses a wide one."""
_LIGHTEST_CORNER = 0.35
"""Share of the light that comes beyond the opening."""
_SAMPLES = 64
"""Rows and columns of pixels that the mean of an image is taken from, about."""


def rendering(images: Tensor, draws: Draws, augmentation: Augmentation) -> tuple[Tensor, Tensor]:
    """Draw what happens to colours: brightness, contrast, saturation, hue and white balance.

    Saturation scales, and hue turns, the part of a colour that is not grey; contrast and brightness scale
    all of it.

    Args:
        images: uint8 (B, 3, H, W); contrast changes about their mean grey.
        draws: Of the batch.
        augmentation: Ranges.

    Returns:
        Matrices (B, 3, 3) and offsets (B, 3): a colour c becomes matrix @ c + offset.
    """
    names = ("brightness", "contrast", "saturation")
    brightness, contrast, saturation = (
        (1 + getattr(augmentation, name) * draws.either_way(name)).view(-1, 1, 1) for name in names
    )
    identity = torch.eye(3, device=images.device)
    grey = torch.tensor(_GREY, device=images.device).expand(3, 3)
    turn = _turn(draws.either_way("hue") * math.tau * augmentation.hue)
    matrix = brightness * contrast * (grey + saturation * turn @ (identity - grey))
    step = max(1, min(images.shape[2:]) // _SAMPLES)
    mean = images[:, :, ::step, ::step].float().mean(dim=(2, 3))
    offset = (brightness * (1 - contrast)).view(-1, 1) * (mean @ grey.T)
    red, blue = (1 + augmentation.white_balance * draws.either_way(name) for name in ("red", "blue"))
    balance = torch.stack([red, torch.ones_like(red), blue], dim=1)
    return balance.unsqueeze(2) * matrix, balance * offset


def gains(masks: Tensor, draws: Draws, augmentation: Augmentation) -> tuple[Tensor, Tensor]:
    """Draw how much light falls on each pixel: a gradient in any direction, and a vignette.

    Args:
        masks: (B, any, H, W), for their size.
        draws: Of the batch.
        augmentation: Ranges and shares.

    Returns:
        Factors (B, H) of the rows and (B, W) of the columns, to be added.
    """
    loss = torch.zeros(len(masks), 1, device=masks.device)
    dimmed = draws.chosen("vignette", augmentation)
    loss[dimmed, 0] = augmentation.vignette_loss * draws.share("vignette_loss")[dimmed]
    rows, columns = (
        0.5 + augmentation.gradient * draws.either_way(f"gradient_{axis}")[:, None] * at - loss / 2 * at**2
        for axis, at in (("y", _middles(masks.shape[2], loss)), ("x", _middles(masks.shape[3], loss)))
    )
    return rows, columns


def exponents(draws: Draws, augmentation: Augmentation) -> Tensor:
    """Draw the exponents (B,) of the values, as shares of the full range."""
    return (1 + augmentation.gamma) ** draws.either_way("gamma")


def recolour(
    images: Tensor, matrices: Tensor, offsets: Tensor, rows: Tensor, columns: Tensor, powers: Tensor
) -> Tensor:
    """Change colours by a matrix and an offset, then the light, then the curve.

    Args:
        images: uint8 (B, 3, H, W).
        matrices: (B, 3, 3).
        offsets: (B, 3).
        rows: Light of each row (B, H), to be added to
        columns: that of each column (B, W).
        powers: (B,), of values as shares of the full range.

    Returns:
        uint8 (B, 3, H, W).
    """
    linear = torch.baddbmm(offsets.unsqueeze(2), matrices, images.float().flatten(2)).view(images.shape)
    lit = linear.mul_(rows[:, None, :, None] + columns[:, None, None, :]).div_(255).clamp_(0, 1)
    return lit.pow_(powers.view(-1, 1, 1, 1)).mul_(255).round_().to(torch.uint8)


def darken_corners(images: Tensor, masks: Tensor, draws: Draws, augmentation: Augmentation) -> None:
    """Show some images through a round opening, in place.

    It may be an ellipse, since frames that are not square are squashed.

    Args:
        images: uint8 (B, 3, H, W).
        masks: uint8 (B, any, H, W); the opening is wide enough for the lesion in the first channel.
        draws: Of the batch.
        augmentation: Ranges and shares.
    """
    for index in draws.chosen("corners", augmentation):
        lesion, place = masks[index, 0], {}
        for axis, side in (("y", lesion.shape[0]), ("x", lesion.shape[1])):
            place[axis] = _middles(side, lesion) - 0.2 * (draws.number(f"corner_{axis}", index) - 0.5)
        stretch = _LARGEST_STRETCH ** (draws.number("corner_aspect", index) - 0.5)
        distance = torch.hypot(place["x"] * stretch, place["y"][:, None] / stretch) / 2
        softness = 0.005 + _WIDEST_EDGE * draws.number("corner_softness", index) ** 2
        smallest = augmentation.corner_radius
        drawn = smallest + (_LARGEST_RADIUS - smallest) * draws.number("corner_radius", index)
        # Dark pixels that the mask calls lesion would teach a network to call dark corners lesion.
        radius = (distance * (lesion > 0)).max().clamp(min=drawn) + softness
        opening = ((radius - distance) / softness).clamp_(0, 1)
        rest = _LIGHTEST_CORNER * draws.number("corner_light", index) ** 2
        images[index] = torch.lerp(opening, torch.ones_like(opening), rest).mul(images[index]).round_()


def _middles(side: int, like: Tensor) -> Tensor:
    """Places of the middles of `side` pixels, in [-1, 1]."""
    return (torch.arange(side, device=like.device) * 2 + 1) / side - 1


def _turn(angle: Tensor) -> Tensor:
    """Rotations (B, 3, 3) of RGB about the grey axis (Rodrigues' formula)."""
    third = math.sqrt(1 / 3)
    cross = third * torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], device=angle.device)
    cos, sin = angle.cos().view(-1, 1, 1), angle.sin().view(-1, 1, 1)
    along = torch.full((3, 3), 1 / 3, device=angle.device)
    return cos * torch.eye(3, device=angle.device) + sin * cross + (1 - cos) * along
