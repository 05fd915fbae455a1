"""Random views of a batch: every image is moved and coloured by its own draw, its mask moved with it.

Drawn per image from one generator, so a batch is reproducible, which torchvision's transforms are not: they
draw once for a batch, from the global generator, and fill corners with one colour. Corners are filled by
reflection here, since dermoscopic images have skin beyond their frame, not black.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augmentation:
    """How far images are moved and coloured. Every range is drawn from uniformly."""

    rotation: float = 180.0
    """Largest angle in degrees, either way."""
    scale: float = 0.2
    """Largest zoom in or out: 0.2 shows 1/1.2 to 1.2 times the frame."""
    shift: float = 0.1
    """Largest shift along each axis, as a share of the side."""
    brightness: float = 0.2
    """Largest relative change of all values."""
    contrast: float = 0.2
    """Largest relative change of the distance to the image's mean grey."""
    saturation: float = 0.2
    """Largest relative change of the distance to the pixel's own grey."""
    hue: float = 0.03
    """Largest turn of the colours about the grey axis, in full turns."""
    mirror: bool = True
    """Mirror half of the images left to right, and half upside down."""


DEFAULT = Augmentation()

_GREY = (0.299, 0.587, 0.114)


def augment(
    images: Tensor,
    masks: Tensor,
    generator: torch.Generator | None = None,
    augmentation: Augmentation = DEFAULT,
) -> tuple[Tensor, Tensor]:
    """Flip, turn, zoom and shift images with their masks, then change the colours of the images.

    Args:
        images: uint8 (B, 3, H, W), on any device.
        masks: uint8 (B, 1, H, W).
        generator: Source of the draws, a CPU generator; None for PyTorch's global one. The draws of an image
            depend on the generator and its place in the batch, not on the other images.
        augmentation: Ranges of the draws.

    Returns:
        Images and masks of the same shape and type. Masks are sampled at the nearest pixel, so they hold
        no value they did not hold before.
    """
    # One row of draws per image, in [-1, 1).
    draws = torch.rand(len(images), 10, generator=generator) * 2 - 1
    grid = _grid(_geometry(draws[:, :6], augmentation).to(images.device), images.shape[2], images.shape[3])
    moved = F.grid_sample(images.float(), grid, "bilinear", "reflection", align_corners=False)
    moved_masks = F.grid_sample(masks.float(), grid, "nearest", "reflection", align_corners=False)
    # bfloat16 has 8 bits of precision, too few for a sum of channels that is rounded to 8 bits again.
    with torch.autocast(images.device.type, enabled=False):
        coloured = _colour(moved, draws[:, 6:].to(images.device), augmentation)
    return coloured.round_().clamp_(0, 255).to(images.dtype), moved_masks.to(masks.dtype)


def normalize(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Scale uint8 images (B, 3, H, W) to [0, 1], subtract `mean` and divide by `std`, per channel."""
    shape = (1, -1, 1, 1)
    centre = 255.0 * torch.tensor(mean, device=images.device).view(shape)
    return (images.float() - centre) / (255.0 * torch.tensor(std, device=images.device).view(shape))


def _geometry(draws: Tensor, augmentation: Augmentation) -> Tensor:
    """Turn draws (B, 6) into maps (B, 2, 3) from a place in the result to its place in the source.

    Columns: mirror, turn upside down, angle, zoom, shift along x, shift along y. Places are in [-1, 1].
    """
    signs = torch.where(draws[:, :2] < 0, -1.0, 1.0) if augmentation.mirror else torch.ones(len(draws), 2)
    mirror, flip = signs.unbind(dim=1)
    angle = draws[:, 2] * math.radians(augmentation.rotation)
    zoom = (1 + augmentation.scale) ** draws[:, 3]
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    shift = 2 * augmentation.shift * draws[:, 4:6]
    rows = [
        torch.stack([mirror * cos, -flip * sin, shift[:, 0]], dim=1),
        torch.stack([mirror * sin, flip * cos, shift[:, 1]], dim=1),
    ]
    return torch.stack(rows, dim=1)


def _grid(maps: Tensor, height: int, width: int) -> Tensor:
    """Apply maps (B, 2, 3) to the middle of every pixel: (B, height, width, 2).

    The same as `affine_grid`, whose product of 3-vectors takes as long as the sampling itself on a CPU.
    """
    x, y = (_middles(side, maps.device) for side in (width, height))
    along_x = maps[:, None, :, 0] * x[:, None]
    along_y = maps[:, None, :, 1] * y[:, None] + maps[:, None, :, 2]
    return along_y[:, :, None] + along_x[:, None]


def _middles(side: int, device: torch.device) -> Tensor:
    """Places of the middles of `side` pixels, in [-1, 1]."""
    return (torch.arange(side, device=device) * 2 + 1) / side - 1


def _colour(images: Tensor, draws: Tensor, augmentation: Augmentation) -> Tensor:
    """Change brightness, contrast, saturation and hue of float images, by one matrix and offset per image.

    Saturation scales, and hue turns, the part of a colour that is not grey; contrast and brightness scale
    all of it.
    """
    ranges = (augmentation.brightness, augmentation.contrast, augmentation.saturation)
    brightness, contrast, saturation = (1 + r * draws[:, i].view(-1, 1, 1) for i, r in enumerate(ranges))
    identity = torch.eye(3, device=images.device)
    grey = torch.tensor(_GREY, device=images.device).expand(3, 3)
    matrix = grey + saturation * _turn(draws[:, 3] * math.tau * augmentation.hue) @ (identity - grey)
    mean = images.mean(dim=(2, 3)).unsqueeze(2)
    mean_grey = (grey @ mean).expand_as(mean)
    offset = brightness * (1 - contrast) * mean_grey
    flat = images.flatten(2)
    return torch.baddbmm(offset, brightness * contrast * matrix, flat).view_as(images)


def _turn(angle: Tensor) -> Tensor:
    """Rotations (B, 3, 3) of RGB about the grey axis (Rodrigues' formula)."""
    third = math.sqrt(1 / 3)
    cross = third * torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], device=angle.device)
    cos, sin = angle.cos().view(-1, 1, 1), angle.sin().view(-1, 1, 1)
    along = torch.full((3, 3), 1 / 3, device=angle.device)
    return cos * torch.eye(3, device=angle.device) + sin * cross + (1 - cos) * along
