"""The light on a view and the camera's rendering of it: a matrix, a field and a curve for every image."""

import math

import torch
from torch import Tensor

from dermseg.data.augmentation.draws import Draws
from dermseg.data.augmentation.settings import Augmentation

_GREY = (0.299, 0.587, 0.114)
_LARGEST_RADIUS = 0.72
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


def gains(masks: Tensor, draws: Draws, augmentation: Augmentation) -> Tensor:
    """Draw how much light falls on each pixel: a gradient, a vignette, the edge of a round opening.

    Args:
        masks: uint8 (B, any, H, W); the opening is wide enough for the lesion in the first channel.
        draws: Of the batch.
        augmentation: Ranges and shares.

    Returns:
        Factors (B, H, W).
    """
    x, y = (_middles(side, masks.device) for side in (masks.shape[3], masks.shape[2]))
    loss = torch.zeros(len(masks), device=masks.device)
    vignetted = draws.chosen("vignette", augmentation)
    loss[vignetted] = augmentation.vignette_loss * draws.share("vignette_loss")[vignetted]
    profiles = []
    for at, axis in ((x, "x"), (y, "y")):
        slope = augmentation.gradient * draws.either_way(f"gradient_{axis}")
        profiles.append(0.5 + slope[:, None] * at - loss[:, None] / 2 * at**2)
    field = profiles[1][:, :, None] + profiles[0][:, None, :]
    through = draws.chosen("corners", augmentation)
    if through:
        field[through] *= _opening(masks[through, 0], draws, through, augmentation)
    return field


def exponents(draws: Draws, augmentation: Augmentation) -> Tensor:
    """Draw the exponents (B,) of the values, as shares of the full range."""
    return (1 + augmentation.gamma) ** draws.either_way("gamma")


def recolour(images: Tensor, matrices: Tensor, offsets: Tensor, field: Tensor, powers: Tensor) -> Tensor:
    """Change colours by a matrix and an offset, then the light by a field, then the curve by a power.

    Args:
        images: uint8 (B, 3, H, W).
        matrices: (B, 3, 3).
        offsets: (B, 3).
        field: (B, H, W).
        powers: (B,), of values as shares of the full range.

    Returns:
        uint8 (B, 3, H, W).
    """
    linear = torch.baddbmm(offsets.unsqueeze(2), matrices, images.float().flatten(2)).view(images.shape)
    lit = linear.mul_(field.unsqueeze(1)).div_(255).clamp_(0, 1)
    return lit.pow_(powers.view(-1, 1, 1, 1)).mul_(255).round_().to(torch.uint8)


def _opening(lesions: Tensor, draws: Draws, through: list[int], augmentation: Augmentation) -> Tensor:
    """Return how much of the light (b, H, W) comes through a round opening, at the images listed.

    It may be an ellipse, since frames that are not square are squashed.
    """
    stretch = 1.3 ** (draws.either_way("corner_aspect")[through].view(-1, 1, 1) / 2)
    x, y = (
        _middles(side, lesions.device) - 0.1 * draws.either_way(f"corner_{axis}")[through].view(-1, 1)
        for side, axis in ((lesions.shape[2], "x"), (lesions.shape[1], "y"))
    )
    distance = torch.hypot(x[:, None, :] * stretch, y[:, :, None] / stretch) / 2
    softness = 0.002 + 0.01 * draws.share("corner_softness")[through].view(-1, 1, 1) ** 2
    smallest = augmentation.corner_radius
    drawn = smallest + (_LARGEST_RADIUS - smallest) * draws.share("corner_radius")[through].view(-1, 1, 1)
    # Black pixels that the mask calls lesion would teach a network to call black corners lesion.
    lesion = (distance * (lesions > 0)).amax(dim=(1, 2), keepdim=True)
    return torch.sigmoid((torch.maximum(drawn, lesion + 4 * softness) - distance) / softness)


def _middles(side: int, device: torch.device) -> Tensor:
    """Places of the middles of `side` pixels, in [-1, 1]."""
    return (torch.arange(side, device=device) * 2 + 1) / side - 1


def _turn(angle: Tensor) -> Tensor:
    """Rotations (B, 3, 3) of RGB about the grey axis (Rodrigues' formula)."""
    third = math.sqrt(1 / 3)
    cross = third * torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], device=angle.device)
    cos, sin = angle.cos().view(-1, 1, 1), angle.sin().view(-1, 1, 1)
    along = torch.full((3, 3), 1 / 3, device=angle.device)
    return cos * torch.eye(3, device=angle.device) + sin * cross + (1 - cos) * along
