"""How far Dice falls, or moves, when images are changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.progress import track

from dermseg.card.changes import Graded, Mask, Picture
from dermseg.card.overlap import dice
from dermseg.data.images import read_image, read_mask, resize_image, resize_mask
from dermseg.data.pairs import Pair
from dermseg.inference.predictor import Predictor

SIDE = 384
"""Images are shrunk to squares of this side before they are changed: larger than networks see them."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What one level of one change did to the per-image Dice of the same images."""

    change: str
    level: float
    meaning: str
    dice: float
    """Mean over the changed images."""
    difference: float
    """Mean of Dice after the change less Dice before it."""
    movement: float
    """Mean size of that difference, whatever its sign."""
    images: int


def measure_effects(
    cases: Sequence[tuple[Predictor, Pair]], changes: Mapping[str, Graded]
) -> tuple[float, list[Effect]]:
    """Measure the per-image Dice of images as they are, and under every level of every change.

    An image in whose changed mask no lesion is left is not counted for that level.

    Args:
        cases: Readable images with masks, each with the network that predicts it.
        changes: By name.

    Returns:
        Mean per-image Dice of the unchanged images, and the effects in the order of the changes.
    """
    before: list[float] = []
    after: dict[tuple[str, float], list[float]] = {
        (name, level): [] for name, graded in changes.items() for level in graded.levels
    }
    for number, (predictor, pair) in enumerate(track(cases, "Changed images")):
        image = resize_image(read_image(pair.image), SIDE)
        mask = resize_mask(read_mask(pair.mask), SIDE)
        before.append(_dice(predictor, image, mask))
        for place, (name, level) in enumerate(after):
            generator = np.random.default_rng([0, number, place])
            picture, area = changes[name].change(image, mask, level, generator)
            after[name, level].append(_dice(predictor, picture, area) if area.any() else np.nan)
    effects = [
        _effect(name, level, changes[name].meaning, before, found) for (name, level), found in after.items()
    ]
    return float(np.mean(before)), effects


def _effect(name: str, level: float, meaning: str, before: Sequence[float], after: Sequence[float]) -> Effect:
    changed = np.asarray(after)
    known = np.isfinite(changed)
    moved = changed[known] - np.asarray(before)[known]
    return Effect(
        change=name,
        level=level,
        meaning=meaning,
        dice=float(changed[known].mean()),
        difference=float(moved.mean()),
        movement=float(np.abs(moved).mean()),
        images=int(known.sum()),
    )


def _dice(predictor: Predictor, image: Picture, mask: Mask) -> float:
    return dice(predictor.predict(image).mask, mask)
