"""The operators of `operators.Operators` in PyTorch, for any device; they read like the equations."""

import torch
from torch import Tensor
from torch.nn import functional as F

from dermseg.data.augmentation import cpu
from dermseg.data.augmentation.draws import FloatArray
from dermseg.data.augmentation.frame import Frame
from dermseg.data.augmentation.geometry import MARGIN, middles, spline
from dermseg.data.augmentation.light import GREY, Light, Opening, step_of_mean
from dermseg.data.augmentation.operators import ByteArray


def sample(images: Tensor, masks: Tensor, points: FloatArray, views: Tensor, moved: Tensor) -> None:
    """Sample images bilinearly, and masks at the nearest pixel."""
    at = places(torch.from_numpy(points).to(images.device), *images.shape[2:])
    grid = folded(at).permute(0, 2, 3, 1)
    views.copy_(F.grid_sample(images.float(), grid, "bilinear", "border", align_corners=False).round_())
    moved.copy_(F.grid_sample(masks.float(), grid, "nearest", "border", align_corners=False))


def places(points: Tensor, height: int, width: int) -> Tensor:
    """Return the place in the source of every pixel's middle, (B, 2, height, width)."""
    rows, columns = (torch.from_numpy(spline(side)).to(points.device) for side in (height, width))
    return rows @ points @ columns.T


def folded(at: Tensor) -> Tensor:
    """Fold places beyond the frame back into the strip of width `MARGIN` inside its edge."""
    size = at.abs()
    # A triangle wave of two periods; what lies further out becomes the edge when it is sampled.
    wave = 1 - MARGIN + (((size - 1).clamp(min=0) - 2 * MARGIN).abs() - MARGIN).abs()
    return torch.minimum(size, wave).copysign(at)


def recolour(images: Tensor, light: Light) -> None:
    """Change colours by a matrix and a pull, then the light, then the curve."""
    parts = (torch.from_numpy(part).to(images.device) for part in light)
    matrices, pulls, rows, columns, powers = parts
    step = step_of_mean(*images.shape[2:])
    mean = images[:, :, ::step, ::step].float().mean(dim=(2, 3))
    grey = mean @ torch.tensor(GREY, device=images.device)
    linear = torch.baddbmm((pulls * grey[:, None])[:, :, None], matrices, images.float().flatten(2))
    lit = linear.view(images.shape).mul_(rows[:, None, :, None] + columns[:, None, None, :])
    images.copy_(lit.div_(255).clamp_(0, 1).pow_(powers.view(-1, 1, 1, 1)).mul_(255).round_())


def lay(image: Tensor, opacity: ByteArray, colour: ByteArray) -> None:
    """Lay a drawing over an image."""
    cover, paint = (torch.from_numpy(array).to(image.device).float() for array in (opacity, colour))
    image.copy_(torch.lerp(image.float(), paint.view(3, 1, 1), cover / 255).round_())


def add(image: Tensor, values: FloatArray, scale: float) -> None:
    """Add to an image and cut off what leaves the range."""
    image.copy_((image + scale * torch.from_numpy(values).to(image.device)).round_().clamp_(0, 255))


def darken(image: Tensor, lesion: Tensor, opening: Opening) -> None:
    """Show an image through an opening."""
    y, x = (torch.from_numpy(middles(side)).to(image.device) for side in lesion.shape)
    across, down = (x - opening.x) * opening.stretch, (y - opening.y) / opening.stretch
    distance = torch.hypot(across, down[:, None]) / 2
    # Dark pixels that the mask calls lesion would teach a network to call dark corners lesion.
    radius = (distance * (lesion > 0)).max().clamp(min=opening.radius)
    light = (1 - (distance - radius) / opening.softness).clamp_(0, 1)
    image.copy_((image * (opening.rest + (1 - opening.rest) * light)).round_())


def blur(image: Tensor, down: FloatArray, across: FloatArray) -> None:
    """Convolve an image along y and along x."""
    rows, columns = (torch.from_numpy(weights).to(image.device) for weights in (down, across))
    beside, above = len(across) // 2, len(down) // 2
    planes = F.pad(image.float()[:, None], (beside, beside, above, above), "reflect")
    smeared = F.conv2d(F.conv2d(planes, rows.view(1, 1, -1, 1)), columns.view(1, 1, 1, -1))
    image.copy_(smeared[:, 0].round_().clamp_(0, 255))


def compress(image: Tensor, quality: int) -> None:
    """Compress an image as JPEG, on the CPU, and read it again."""
    pixels = image.cpu()
    cpu.compress(pixels.numpy(), quality)
    image.copy_(pixels)


def set_into(image: Tensor, masks: Tensor, frame: Frame) -> None:
    """Set an image into a wider frame."""
    rows, columns = (torch.from_numpy(at).to(image.device) for at in frame.shrunk(*masks.shape[1:]))
    small_masks = masks[:, rows[:, None], columns]
    masks.zero_()
    masks[:, frame.rows, frame.columns] = small_masks
    size = len(rows), len(columns)
    small = F.interpolate(image[None].float(), size, mode="bilinear", antialias=True)[0].round_()
    if frame.colour is not None:
        image.copy_(image.new_tensor(frame.colour)[:, None, None].expand_as(image))
    image[:, frame.rows, frame.columns] = small.to(torch.uint8)
    if frame.colour is None:
        rows, columns = (torch.from_numpy(at).to(image.device) for at in frame.repeated(*masks.shape[1:]))
        image.copy_(image[:, rows[:, None], columns])
