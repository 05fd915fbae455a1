"""Graded changes of an image with its mask: what a camera, a file format or a person's framing does.

Every change takes an image (height, width, 3), uint8, its mask (height, width), bool, a level and a
generator, and gives both anew. Where the level is an amount, 0 (of a factor, 1) changes nothing; the quality
of a JPEG and the side of a mirror have no such level.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from dermseg.data.artefacts import add_hair

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Change = Callable[[Picture, Mask, float, np.random.Generator], tuple[Picture, Mask]]


@dataclass(frozen=True, slots=True)
class Graded:
    """A change and the levels at which it is measured."""

    change: Change
    levels: tuple[float, ...]
    meaning: str
    """What a level is, for the table."""


def blurred(image: Picture, mask: Mask, level: float, _: np.random.Generator) -> tuple[Picture, Mask]:
    """Blur with a Gaussian; `level` is its standard deviation as a share of the shorter side."""
    sigma = level * min(mask.shape)
    return ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="nearest"), mask


def noisy(image: Picture, mask: Mask, level: float, generator: np.random.Generator) -> tuple[Picture, Mask]:
    """Add Gaussian noise; `level` is its standard deviation in grey levels."""
    noise = generator.standard_normal(image.shape, dtype=np.float32) * np.float32(level)
    return _levels(image + noise), mask


def compressed(image: Picture, mask: Mask, level: float, _: np.random.Generator) -> tuple[Picture, Mask]:
    """Save as JPEG of quality `level` and read again."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=int(level))
    with Image.open(file) as stored:
        return np.asarray(stored.convert("RGB")), mask


def lit(image: Picture, mask: Mask, level: float, _: np.random.Generator) -> tuple[Picture, Mask]:
    """Multiply all values by `level`; what leaves the range is cut off."""
    return _levels(image * np.float32(level)), mask


def vignetted(image: Picture, mask: Mask, level: float, _: np.random.Generator) -> tuple[Picture, Mask]:
    """Darken the corners beyond a round field to black; `level` is the share of the half diagonal cut."""
    height, width = mask.shape
    rows, columns = np.ogrid[:height, :width]
    distance = np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2) / (np.hypot(height, width) / 2)
    light = np.clip((1 - level - distance) / 0.04 + 1, 0.03, 1).astype(np.float32)
    return _levels(image * light[:, :, None]), mask


def hairy(image: Picture, mask: Mask, level: float, generator: np.random.Generator) -> tuple[Picture, Mask]:
    """Lay `level` hairs over the image."""
    height, width = mask.shape
    side = max(height, width)
    square = np.pad(image, ((0, side - height), (0, side - width), (0, 0)), mode="edge")
    drawn = add_hair(square.astype(np.float32) / np.float32(255), generator, int(level))
    return _levels(drawn[:height, :width] * 255), mask


def turned(image: Picture, mask: Mask, level: float, _: np.random.Generator) -> tuple[Picture, Mask]:
    """Turn by `level` degrees; corners are filled by reflection, and reflected lesion counts as lesion."""
    if level % 90 == 0:
        quarters = int(level) // 90
        return np.rot90(image, quarters).copy(), np.rot90(mask, quarters).copy()
    height, width = mask.shape
    margin = min(height, width) // 2
    wide = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    wide_mask = np.pad(mask, margin, mode="reflect")
    picture = Image.fromarray(wide).rotate(level, Image.Resampling.BICUBIC)
    area = Image.fromarray(wide_mask).rotate(level, Image.Resampling.NEAREST)
    middle = slice(margin, margin + height), slice(margin, margin + width)
    return np.asarray(picture)[middle], np.asarray(area)[middle]


def mirrored(image: Picture, mask: Mask, level: float, _: np.random.Generator) -> tuple[Picture, Mask]:
    """Mirror left to right (`level` 1) or top to bottom (2)."""
    axis = 1 if level == 1 else 0
    return np.flip(image, axis).copy(), np.flip(mask, axis).copy()


def padded(image: Picture, mask: Mask, level: float, _: np.random.Generator) -> tuple[Picture, Mask]:
    """Add a margin, `level` of the shorter side, that repeats the outermost pixels; none of it is lesion."""
    margin = round(level * min(mask.shape))
    wide = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    return wide, np.pad(mask, margin)


def zoomed(image: Picture, mask: Mask, level: float, _: np.random.Generator) -> tuple[Picture, Mask]:
    """Keep the middle `level` of width and height: a closer crop."""
    height, width = mask.shape
    rows, columns = round(height * (1 - level) / 2), round(width * (1 - level) / 2)
    return image[rows : height - rows, columns : width - columns], mask[
        rows : height - rows, columns : width - columns
    ]


def stretched(image: Picture, mask: Mask, level: float, _: np.random.Generator) -> tuple[Picture, Mask]:
    """Make the file `level` times as wide."""
    height, width = mask.shape
    size = (round(width * level), height)
    picture = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
    area = Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)
    return np.asarray(picture), np.asarray(area)


def narrowed(image: Picture, mask: Mask, level: float, _: np.random.Generator) -> tuple[Picture, Mask]:
    """Cut the same from top and bottom until the width is `level` times the height."""
    height, width = mask.shape
    cut = max(0, round((height - width / level) / 2))
    return image[cut : height - cut], mask[cut : height - cut]


CORRUPTIONS: Mapping[str, Graded] = {
    "blur": Graded(blurred, (0.005, 0.01, 0.02), "standard deviation, share of the shorter side"),
    "noise": Graded(noisy, (10, 20, 40), "standard deviation, grey levels"),
    "JPEG": Graded(compressed, (40, 20, 10), "quality"),
    "darker": Graded(lit, (0.8, 0.6, 0.4), "factor"),
    "brighter": Graded(lit, (1.15, 1.3, 1.5), "factor"),
    "dark corners": Graded(vignetted, (0.15, 0.25, 0.35), "share of the half diagonal that is dark"),
    "hair": Graded(hairy, (10, 30, 60), "hairs"),
    "rotation": Graded(turned, (15, 30, 45), "degrees"),
    "closer crop": Graded(zoomed, (0.9, 0.8, 0.7), "share of each side that is kept"),
    "wider frame": Graded(padded, (0.1, 0.2, 0.4), "margin, share of the shorter side"),
    "aspect": Graded(narrowed, (1.2, 1.33, 1.6), "width by height after cutting top and bottom"),
}
"""Changes under which accuracy is expected to fall, by how much is measured."""

INVARIANCES: Mapping[str, Graded] = {
    "quarter turn": Graded(turned, (90, 180, 270), "degrees"),
    "flip": Graded(mirrored, (1, 2), "1 left to right, 2 top to bottom"),
    "margin": Graded(padded, (0.1,), "margin, share of the shorter side"),
    "stretch": Graded(stretched, (0.75, 1.33), "factor of the width"),
}
"""Changes that should not matter."""


def _levels(values: NDArray[np.float32]) -> Picture:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
