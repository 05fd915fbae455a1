"""Random views of a batch: every image is moved, coloured and soiled by its own draw, its mask moved with it.

Drawn per image from one generator, so a batch is reproducible, which torchvision's transforms are not: they
draw once for a batch, from the global generator, and fill corners with one colour. Corners are filled with
what lies at the edge of the frame here, since dermoscopic images have skin beyond it, not black. Torchvision
blurs and compresses single images.
"""

import torch
from torch import Tensor

from dermseg.data.augmentation import cpu, geometry, light
from dermseg.data.augmentation.camera import photograph
from dermseg.data.augmentation.draws import Draws
from dermseg.data.augmentation.scene import add_scene
from dermseg.data.augmentation.settings import DEFAULT, Augmentation


def augment(
    images: Tensor,
    masks: Tensor,
    generator: torch.Generator | None = None,
    augmentation: Augmentation = DEFAULT,
) -> tuple[Tensor, Tensor]:
    """Move images with their masks, then change what the images show and how.

    Args:
        images: uint8 (B, 3, H, W), on any device.
        masks: uint8 (B, any, H, W), the lesion in the first channel.
        generator: Source of the draws, a CPU generator; None for PyTorch's global one. The draws of an image
            depend on the generator and its place in the batch, not on the other images.
        augmentation: Ranges of the draws.

    Returns:
        Images and masks of the same shape and type. Masks are sampled at the nearest pixel, so they hold
        no value they did not hold before.
    """
    compiled = images.device.type == "cpu"
    sample = cpu.sample if compiled else geometry.sample
    recolour = cpu.recolour if compiled else light.recolour
    draws = Draws(len(images), generator, images.device)
    # bfloat16 has 8 bits of precision, too few for a sum of channels that is rounded to 8 bits again.
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        views, moved = sample(images, masks, geometry.control_points(draws, augmentation, *images.shape[2:]))
        add_scene(views, draws, augmentation)
        matrices, offsets = light.rendering(views, draws, augmentation)
        rows, columns = light.gains(moved, draws, augmentation)
        views = recolour(views, matrices, offsets, rows, columns, light.exponents(draws, augmentation))
        light.darken_corners(views, moved, draws, augmentation)
        photograph(views, draws, augmentation)
    return views, moved
