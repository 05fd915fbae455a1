"""Random views of a batch: every image is moved, coloured and soiled by its own draw, its mask moved with it.

Drawn per image from one generator, so a batch is reproducible, which torchvision's transforms are not: they
draw once for a batch, from the global generator, and fill corners with one colour. Corners are filled with
what lies at the edge of the frame here, since dermoscopic images have skin beyond it, not black.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dermseg.data.augmentation import cpu, device
from dermseg.data.augmentation.camera import photograph
from dermseg.data.augmentation.draws import Draws, FloatArray, ImageDraws
from dermseg.data.augmentation.frame import draw_frame
from dermseg.data.augmentation.geometry import control_points
from dermseg.data.augmentation.light import Light, draw_light, draw_opening
from dermseg.data.augmentation.operators import ByteArray, Operators, Picture
from dermseg.data.augmentation.scene import add_scene
from dermseg.data.augmentation.settings import DEFAULT, Augmentation
from dermseg.ops import numba_threads

_STEPS_OF_A_PIXEL = 60
"""Operations of arithmetic per pixel, about; by them it is decided whether threads are worth starting."""


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
    images, masks = images.contiguous(), masks.contiguous()
    views, moved = torch.empty_like(images), torch.empty_like(masks)
    plan = draw_plan(Draws(len(images), generator), augmentation, *images.shape[2:])
    if images.device.type == "cpu":
        _write_each(images.numpy(), masks.numpy(), plan, views.numpy(), moved.numpy())
    else:
        # bfloat16 has 8 bits of precision, too few for a sum of channels that is rounded to 8 bits again.
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            write_views(images, masks, plan, device, views, moved)
    return views, moved


@dataclass(frozen=True)
class Plan:
    """What chance has decided about a batch; of single images, it has drawn what the rest follows from."""

    points: FloatArray
    """(B, 2, POINTS, POINTS)"""
    light: Light
    draws: list[ImageDraws]
    augmentation: Augmentation

    def of(self, images: slice) -> "Plan":
        """Return the plan of some of the images."""
        light = Light(*(part[images] for part in self.light))
        return Plan(self.points[images], light, self.draws[images], self.augmentation)


def draw_plan(draws: Draws, augmentation: Augmentation, height: int, width: int) -> Plan:
    """Decide what becomes of a batch of images of this size."""
    points = control_points(draws, augmentation, height, width)
    return Plan(points, draw_light(draws, augmentation, height, width), draws.images(), augmentation)


def _write_each(
    images: ByteArray,
    masks: ByteArray,
    plan: Plan,
    views: ByteArray,
    moved: ByteArray,
) -> None:
    """Write the views that are planned, each by one thread, in whose caches the image stays.

    No operator of PyTorch that uses its own threads may run here: after one, they spin for a while, on the
    processors that these threads need.
    """

    def view(index: int) -> None:
        one = slice(index, index + 1)
        write_views(images[one], masks[one], plan.of(one), cpu, views[one], moved[one])

    work = len(images) * images.shape[2] * images.shape[3] * _STEPS_OF_A_PIXEL
    numba_threads.run(view, len(images), work)


def write_views(
    images: Picture,
    masks: Picture,
    plan: Plan,
    operators: Operators[Picture],
    views: Picture,
    moved: Picture,
) -> None:
    """Write the views that are planned, in the order of a picture's life: scene, light, sensor, programs."""
    augmentation = plan.augmentation
    operators.sample(images, masks, plan.points, views, moved)
    for view, draws in zip(views, plan.draws, strict=True):
        add_scene(view, draws, augmentation, operators)
    operators.recolour(views, plan.light)
    for view, masks_of_view, draws in zip(views, moved, plan.draws, strict=True):
        if draws.happens("corners", augmentation):
            operators.darken(view, masks_of_view[0], draw_opening(draws, augmentation))
        photograph(view, draws, augmentation, operators)
        if draws.happens("frame", augmentation):
            operators.set_into(view, masks_of_view, draw_frame(draws, augmentation, *view.shape[1:]))
