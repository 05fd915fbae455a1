"""Artefacts of dermoscopy laid over an image where chance wants them."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermseg.data.artefacts import draw_bubbles, draw_hair, draw_ink, draw_ruler
from dermseg.data.augmentation.draws import ImageDraws
from dermseg.data.augmentation.operators import ByteArray, Operators, Picture
from dermseg.data.augmentation.settings import Augmentation

DRAWINGS = 32
"""Different drawings of hair, of rulers and of ink. To draw takes longer than all the rest, so they are kept,
and come turned and mirrored."""

Array = NDArray[Any]


def add_scene(
    image: Picture, draws: ImageDraws, augmentation: Augmentation, operators: Operators[Picture]
) -> None:
    """Lay ink, rulers, hair and bubbles over an image uint8 (3, H, W), in place."""
    height, width = image.shape[1:]
    side = max(height, width)
    for name in ("ink", "ruler", "hair"):
        if draws.happens(name, augmentation):
            generator = _generator(draws, name)
            drawing = _drawing(name, int(generator.integers(DRAWINGS)), side, augmentation.hair_count)
            opacity = np.rot90(drawing[0], int(generator.integers(4)))
            opacity = opacity.T if generator.integers(2) else opacity
            operators.lay(image, _middle(opacity, height, width), drawing[1])
    if draws.happens("bubbles", augmentation):
        generator = _generator(draws, "bubbles")
        count = int(generator.integers(1, augmentation.bubble_count + 1))
        light = _middle(draw_bubbles(side, generator, count), height, width)
        operators.add(image, light[None], scale=255)


def _generator(draws: ImageDraws, name: str) -> np.random.Generator:
    # Unrelated streams for the artefacts of one image.
    return np.random.default_rng([draws.seed("scene_seed"), *name.encode()])


@lru_cache(maxsize=3 * DRAWINGS)
def _drawing(name: str, number: int, side: int, most_hairs: int) -> tuple[ByteArray, ByteArray]:
    """Return opacity (side, side) and colour (3,), both uint8, of one of the drawings of a kind."""
    generator = np.random.default_rng([number, *name.encode()])
    if name == "hair":
        overlay = draw_hair(side, generator, int(generator.integers(1, most_hairs + 1)))
    else:
        overlay = (draw_ruler if name == "ruler" else draw_ink)(side, generator)
    opacity, colour = (np.rint(255 * part).astype(np.uint8) for part in (overlay.opacity, overlay.colour))
    return opacity, colour


def _middle(square: Array, height: int, width: int) -> Array:
    """Cut the middle out of a drawing, as large as the image."""
    top, left = (len(square) - height) // 2, (len(square) - width) // 2
    return square[top : top + height, left : left + width].copy()
