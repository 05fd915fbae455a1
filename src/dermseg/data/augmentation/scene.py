"""Artefacts of dermoscopy laid over the images of a batch that chance chooses, one after the other."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from dermseg.data.artefacts import Overlay, draw_bubbles, draw_hair, draw_ink, draw_ruler
from dermseg.data.augmentation.draws import Draws
from dermseg.data.augmentation.settings import Augmentation

DRAWINGS = 32
"""Different drawings of hair, of rulers and of ink. To draw takes longer than all the rest, so they are kept,
and come turned and mirrored."""


def add_scene(images: Tensor, draws: Draws, augmentation: Augmentation) -> None:
    """Lay ink, rulers, hair and bubbles over some of the images uint8 (B, 3, H, W), in place."""
    side = max(images.shape[2:])
    for name in ("ink", "ruler", "hair"):
        for index in draws.chosen(name, augmentation):
            generator = _generator(draws, index, name)
            drawing = _drawing(name, int(generator.integers(DRAWINGS)), side, augmentation.hair_count)
            _lay(images[index], drawing, generator)
    for index in draws.chosen("bubbles", augmentation):
        generator = _generator(draws, index, "bubbles")
        count = int(generator.integers(1, augmentation.bubble_count + 1))
        light = torch.from_numpy(draw_bubbles(side, generator, count)).to(images.device)
        lit = images[index] + 255 * _cut(light, images[index])
        images[index] = lit.round_().clamp_(0, 255)


def _generator(draws: Draws, index: int, name: str) -> np.random.Generator:
    # Unrelated streams for the artefacts of one image.
    return np.random.default_rng([draws.seed("scene_seed", index), *name.encode()])


@lru_cache(maxsize=3 * DRAWINGS)
def _drawing(name: str, number: int, side: int, most_hairs: int) -> tuple[Tensor, Tensor]:
    """Return opacity (side, side) and colour (3, 1, 1), both uint8, of one of the drawings of a kind."""
    generator = np.random.default_rng([number, *name.encode()])
    overlay: Overlay
    if name == "hair":
        overlay = draw_hair(side, generator, int(generator.integers(1, most_hairs + 1)))
    else:
        overlay = (draw_ruler if name == "ruler" else draw_ink)(side, generator)
    opacity, colour = (
        torch.from_numpy(np.rint(255 * part).astype(np.uint8)) for part in (overlay.opacity, overlay.colour)
    )
    return opacity, colour.view(3, 1, 1)


def _lay(image: Tensor, drawing: tuple[Tensor, Tensor], generator: np.random.Generator) -> None:
    opacity, colour = drawing
    opacity = opacity.rot90(int(generator.integers(4)))
    opacity = opacity.T if generator.integers(2) else opacity
    cover = _cut(opacity, image).to(image.device) / 255
    image.copy_(torch.lerp(image.float(), colour.to(image.device).float(), cover).round_())


def _cut(square: Tensor, image: Tensor) -> Tensor:
    """Cut the middle out of a drawing, as large as the image (3, H, W)."""
    height, width = image.shape[1:]
    top, left = (len(square) - height) // 2, (len(square) - width) // 2
    return square[top : top + height, left : left + width]
