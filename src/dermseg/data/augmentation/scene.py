"""Artefacts of dermoscopy laid over the images of a batch that chance chooses, one after the other.

They are rare, so each is drawn on the CPU (`dermseg.data.artefacts`) and moved to the images' device once.
"""

import numpy as np
import torch
from torch import Tensor

from dermseg.data.artefacts import FloatArray, Overlay, draw_bubbles, draw_hair, draw_ink, draw_ruler
from dermseg.data.augmentation.draws import Draws
from dermseg.data.augmentation.settings import Augmentation


def add_scene(images: Tensor, draws: Draws, augmentation: Augmentation) -> None:
    """Lay ink, ruler, hair and bubbles over some of the images uint8 (B, 3, H, W), in place."""
    side = max(images.shape[2:])
    for index in draws.chosen("ink", augmentation):
        _lay(images[index], draw_ink(side, _generator(draws, index, "ink")))
    for index in draws.chosen("ruler", augmentation):
        _lay(images[index], draw_ruler(side, _generator(draws, index, "ruler")))
    for index in draws.chosen("hair", augmentation):
        generator = _generator(draws, index, "hair")
        count = int(generator.integers(1, augmentation.hair_count + 1))
        _lay(images[index], draw_hair(side, generator, count))
    for index in draws.chosen("bubbles", augmentation):
        generator = _generator(draws, index, "bubbles")
        count = int(generator.integers(1, augmentation.bubble_count + 1))
        _lighten(images[index], draw_bubbles(side, generator, count))


def _generator(draws: Draws, index: int, name: str) -> np.random.Generator:
    # Unrelated streams for the artefacts of one image.
    return np.random.default_rng([draws.seed("scene_seed", index), *name.encode()])


def _lay(image: Tensor, overlay: Overlay) -> None:
    colour = 255 * torch.from_numpy(overlay.colour).to(image.device).view(3, 1, 1)
    image.copy_(torch.lerp(image.float(), colour, _fitted(overlay.opacity, image)).round_())


def _lighten(image: Tensor, light: FloatArray) -> None:
    image.copy_((image.float() + 255 * _fitted(light, image)).round_().clamp_(0, 255))


def _fitted(square: FloatArray, image: Tensor) -> Tensor:
    """Cut the middle out of a drawing as large as the image (3, H, W)."""
    height, width = image.shape[1:]
    top, left = (len(square) - height) // 2, (len(square) - width) // 2
    return torch.from_numpy(square[top : top + height, left : left + width]).to(image.device)
