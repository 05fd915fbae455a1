"""Where the pixels of a view come from: one smooth surface of control points, sampled once.

Places are (x, y), from -1 at one edge of an image to 1 at the other, as in `torch.nn.functional.grid_sample`.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from dermseg.data.augmentation.draws import POINTS, Draws
from dermseg.data.augmentation.settings import Augmentation

MARGIN = 0.4
"""Width of the strip at each edge that is mirrored, over and over, to fill what lies beyond the frame.
Mirroring the whole frame would show lesions that are not there."""


def control_points(draws: Draws, augmentation: Augmentation, height: int, width: int) -> Tensor:
    """Place the control points of each view in the source image.

    Mirrored, stretched, turned, zoomed and shifted all together, then each displaced by its own draw: a cubic
    B-spline follows its control points, so this is an affine map with a smooth warp on top.

    Returns:
        Places (B, 2, POINTS, POINTS): x and y, by row and column of the control points.
    """
    maps = affine_maps(draws, augmentation)
    # In lengths of the longer side, or turning would shear images that are not square.
    extent = torch.tensor([width, height], device=maps.device) / max(width, height)
    at = torch.linspace(-1, 1, POINTS - 2, device=maps.device)
    step = 2 / (POINTS - 3)
    at = torch.cat([at[:1] - step, at, at[-1:] + step])
    x, y = at[None, :] * extent[0], at[:, None] * extent[1]
    moved = maps[..., 0, None, None] * x + maps[..., 1, None, None] * y + maps[..., 2, None, None]
    return moved / extent[:, None, None] + 2 * augmentation.elastic * draws.warp()


def affine_maps(draws: Draws, augmentation: Augmentation) -> Tensor:
    """Return the maps (B, 2, 3) from a place in the view to its place in the source, unwarped."""
    angle = draws.either_way("angle") * math.radians(augmentation.rotation)
    zoom = (1 + augmentation.scale) ** draws.either_way("scale")
    stretch = (1 + augmentation.aspect) ** (draws.either_way("aspect") / 2)
    along_x, along_y = zoom * stretch, zoom / stretch
    if augmentation.mirror:
        along_x = along_x * torch.where(draws.share("mirror") < 0.5, -1.0, 1.0)
        along_y = along_y * torch.where(draws.share("flip") < 0.5, -1.0, 1.0)
    shift_x, shift_y = (2 * augmentation.shift * draws.either_way(f"shift_{axis}") for axis in "xy")
    rows = [
        torch.stack([along_x * angle.cos(), -along_y * angle.sin(), shift_x], dim=1),
        torch.stack([along_x * angle.sin(), along_y * angle.cos(), shift_y], dim=1),
    ]
    return torch.stack(rows, dim=1)


def places(points: Tensor, height: int, width: int) -> Tensor:
    """Return the place in the source of every pixel's middle, (B, 2, height, width)."""
    return spline(height, points.device) @ points @ spline(width, points.device).T


def spline(side: int, device: torch.device) -> Tensor:
    """Return the weights (side, POINTS) of the control points at the middle of every pixel."""
    at = (torch.arange(side, device=device) + 0.5) / side * (POINTS - 3)
    distance = (at[:, None] - torch.arange(-1, POINTS - 1, device=device)).abs()
    # The cubic B-spline.
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - distance).clamp(min=0) ** 3 / 6
    return torch.where(distance < 1, near, far)


def folded(at: Tensor) -> Tensor:
    """Fold places beyond the frame back into the strip of width `MARGIN` inside its edge."""
    size = at.abs()
    # A triangle wave of two periods; what lies further out becomes the edge when it is sampled.
    wave = 1 - MARGIN + (((size - 1).clamp(min=0) - 2 * MARGIN).abs() - MARGIN).abs()
    return torch.minimum(size, wave).copysign(at)


def sample(images: Tensor, masks: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Sample images bilinearly, and masks at the nearest pixel.

    Args:
        images: uint8 (B, 3, H, W).
        masks: uint8 (B, any, H, W).
        points: Control points (B, 2, POINTS, POINTS).

    Returns:
        Images and masks of the same shapes, uint8.
    """
    grid = folded(places(points, *images.shape[2:])).permute(0, 2, 3, 1)
    moved = F.grid_sample(images.float(), grid, "bilinear", "border", align_corners=False)
    moved_masks = F.grid_sample(masks.float(), grid, "nearest", "border", align_corners=False)
    return moved.round_().to(torch.uint8), moved_masks.to(torch.uint8)
