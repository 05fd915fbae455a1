"""Drawn lesions with exact masks, so that the demo, the tests and the tutorials need no download.

Skin and lesion are layers of pigment that absorb light (Beer-Lambert): a pixel is exp(-absorbance) of the
light, and absorbances add. Melanin near the surface looks brown, melanin deeper down blue, blood red. Made to
exercise a segmenter, not to stand for patients: scores on these images say nothing about real ones.
"""

import math
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from rich.console import Console
from rich.progress import track
from scipy import ndimage

from dermseg.data.artefacts import FloatArray, add_bubbles, add_hair, add_ruler, add_vignette
from dermseg.data.geometry import LARGEST_SIDE
from dermseg.data.pairs import Collection, Pair
from dermseg.errors import ConfigError
from dermseg.files import read_json, replacing, write_json

VERSION = 1
"""Raised when the same seed draws other pictures; folders of other versions are drawn anew."""

# Absorbance of red, green and blue light by shallow melanin (brown), deep melanin (blue) and blood, each at
# density 1.
_PIGMENTS = np.array([[0.60, 1.05, 1.50], [1.15, 0.95, 0.65], [0.06, 0.40, 0.33]], np.float32)

_SIZES = range(16, LARGEST_SIDE + 1)
"""Sides in pixels that can be drawn."""


def synthetic_collection(
    directory: Path, count: int, size: int, seed: int, progress: bool = False
) -> Collection:
    """Draw pairs into `directory/images` and `directory/masks`, or reuse those that are there.

    Args:
        directory: Folder for the pairs; it can be read as layout `folder`, too.
        count: Number of pairs.
        size: Side in pixels.
        seed: Pair i depends on the seed and i alone, not on `count`.
        progress: Show a progress bar on a terminal.

    Returns:
        The pairs.

    Raises:
        ConfigError: `count` is below 1, `size` not from 16 to 8192, or `seed` negative.
    """
    if count < 1 or size not in _SIZES or seed < 0:
        raise ConfigError(
            f"count={count} must be at least 1, size={size} from {_SIZES[0]} to {_SIZES[-1]}, "
            f"and seed={seed} at least 0."
        )
    label = directory / "synthetic.json"
    wanted = {"version": VERSION, "size": size, "seed": seed}
    if read_json(label) != wanted:
        _remove_drawn(directory)
        write_json(label, wanted)
    pairs = []
    console = Console(stderr=True)
    shown = progress and console.is_terminal
    for index in track(range(count), "Drawing", console=console, disable=not shown):
        name = f"synthetic-{seed}-{index:05d}"
        pair = Pair(name, directory / "images" / f"{name}.png", directory / "masks" / f"{name}.png")
        if not (pair.image.exists() and pair.mask.exists()):
            image, mask = draw_lesion(size, np.random.default_rng([seed, index]))
            _save(image, pair.image)
            _save(mask.astype(np.uint8) * np.uint8(255), pair.mask)
        pairs.append(pair)
    return Collection("synthetic", tuple(pairs))


def draw_lesion(size: int, generator: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Draw one image and its mask.

    Args:
        size: Side in pixels. The same draws at another size show the same lesion, up to sensor noise.
        generator: Source of all draws.

    Returns:
        Image (size, size, 3), uint8, and mask (size, size), bool: True where the lesion's pigment, before
        its border is blurred, ends.
    """
    mask, depth = _outline(size, generator)
    densities = _skin(size, generator) + _lesion(mask, depth, generator)
    image = np.exp(-np.einsum("pyx,pc->yxc", densities, _PIGMENTS, optimize=True))
    if generator.random() < 0.5:
        image = add_hair(image, generator, int(generator.integers(1, 25)))
    if generator.random() < 0.25:
        image = add_ruler(image, generator)
    if generator.random() < 0.25:
        image = add_bubbles(image, generator, int(generator.integers(1, 9)))
    if generator.random() < 0.4:
        image = add_vignette(image, generator, hard=generator.random() < 0.15)
    return _photograph(image, generator), mask


def _outline(size: int, generator: np.random.Generator) -> tuple[NDArray[np.bool_], FloatArray]:
    """Draw a lesion's mask, and how deep inside it each pixel is (0 at the border, about 1 in the middle)."""
    radius = float(np.clip(generator.lognormal(math.log(0.22), 0.45), 0.08, 0.45))
    aspect = generator.uniform(0.7, 1.0)
    angle = generator.uniform(0, math.pi)
    centre = 0.5 + generator.normal(0, 0.05, 2)
    places = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = places[None, :] - np.float32(centre[0]), places[:, None] - np.float32(centre[1])
    along = (x * math.cos(angle) + y * math.sin(angle)) * np.float32(aspect)
    across = (y * math.cos(angle) - x * math.sin(angle)) / np.float32(aspect)
    ragged = generator.uniform(0.1, 0.3) * noise(generator, size, 3, octaves=6)
    depth = 1 - np.hypot(along, across) / radius + ragged * min(1.0, 0.25 / radius)
    return _one_region(depth > 0), depth.astype(np.float32)


def _one_region(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the largest connected region and fill its holes, as annotators do."""
    regions, count = ndimage.label(mask)
    if count > 1:
        mask = regions == 1 + np.argmax(np.bincount(regions.ravel())[1:])
    return np.asarray(ndimage.binary_fill_holes(mask))


def _skin(size: int, generator: np.random.Generator) -> FloatArray:
    """Pigment densities (3, size, size) of skin of any tone, with mottles, fine texture and some freckles."""
    melanin = 0.08 + 1.1 * generator.beta(0.8, 2.4)
    blood = generator.uniform(0.1, 0.75)
    brown = melanin * (1 + 0.1 * noise(generator, size, 4, octaves=3))
    brown += generator.uniform(0.01, 0.035) * noise(generator, size, 48, octaves=2)
    if generator.random() < 0.4:
        brown += generator.uniform(0.1, 0.3) * _regions(noise(generator, size, 14, octaves=2), 2.0, 0.3)
    red = blood * (1 + 0.2 * noise(generator, size, 5, octaves=3))
    return np.stack([brown, np.zeros_like(brown), red])


def _lesion(mask: NDArray[np.bool_], depth: FloatArray, generator: np.random.Generator) -> FloatArray:
    """Pigment densities (3, size, size) that a lesion adds to the skin's."""
    size = len(mask)
    strength = float(np.clip(generator.lognormal(math.log(0.5), 0.55), 0.12, 1.6))
    clumps = noise(generator, size, 5, octaves=5)
    core = generator.uniform(0, 0.7) * np.clip(depth, 0, 1)
    brown = strength * np.clip(0.8 + core + generator.uniform(0.15, 0.45) * clumps, 0.2, None)
    if generator.random() < 0.6:
        brown *= 1 + generator.uniform(0.1, 0.6) * _network(size, generator)
    if generator.random() < 0.3:
        # Globules.
        brown += generator.uniform(0.2, 0.6) * _regions(noise(generator, size, 44), 1.2, 0.2)
    red = generator.uniform(0, 0.8) * np.clip(0.5 + 0.5 * noise(generator, size, 4, octaves=3), 0, None)
    deep = np.zeros_like(brown)
    if generator.random() < 0.35:
        # A second, darker colour in a part of the lesion.
        part = _regions(noise(generator, size, 3, octaves=5), generator.uniform(0.2, 1.0), 0.25)
        (deep if generator.random() < 0.5 else brown)[:] += generator.uniform(0.3, 1.0) * part
    densities = np.stack([brown, deep, red])
    if generator.random() < 0.2:
        # Regression: pigment lost from a part.
        densities *= 1 - 0.7 * _regions(
            noise(generator, size, 3, octaves=4), generator.uniform(0.4, 1.2), 0.25
        )
    faint = generator.uniform(0.2, 0.6) if generator.random() < 0.2 else 1.0
    return np.asarray(faint * densities * _soft(mask, generator), np.float32)


def _soft(mask: NDArray[np.bool_], generator: np.random.Generator) -> FloatArray:
    """Blur a mask, more on some of its border than on the rest, and let the blurred border be patchy."""
    size = len(mask)
    solid = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
    sharp, soft = (
        np.asarray(solid.filter(ImageFilter.GaussianBlur(generator.uniform(*reach) * size)), np.float32) / 255
        for reach in ((0.003, 0.01), (0.015, 0.035))
    )
    share = _regions(noise(generator, size, 2), generator.uniform(-1, 1), 0.4)
    blurred = sharp + share * (soft - sharp)
    patchy = generator.uniform(0.2, 0.9) * noise(generator, size, 20, octaves=3)
    return np.asarray(np.clip(blurred + blurred * (1 - blurred) * patchy, 0, 1), np.float32)


def _network(size: int, generator: np.random.Generator) -> FloatArray:
    """Pigment network: a honeycomb of dark lines, bent by noise; values from -0.4 (mesh) to 1 (line).

    Three plane waves at 60 degrees add up to a lattice of round maxima, the pale meshes.
    """
    period = generator.uniform(0.022, 0.04)
    places = np.arange(size, dtype=np.float32) / size
    bend = 0.5 * period
    x = places[None, :] + bend * noise(generator, size, 12, octaves=2)
    y = places[:, None] + bend * noise(generator, size, 12, octaves=2)
    start = generator.uniform(0, math.pi)
    lattice = np.zeros((size, size), np.float32)
    for turn in range(3):
        angle = start + turn * math.pi / 3
        lattice += np.cos((x * math.cos(angle) + y * math.sin(angle)) * (2 * math.pi / period))
    patchy = _regions(noise(generator, size, 3, octaves=2), -0.3, 0.4)
    return np.asarray(np.clip(0.5 - 0.5 * lattice, -0.4, 1) * patchy, np.float32)


def _photograph(image: FloatArray, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Exposure, white balance and sensor noise."""
    balance = np.exp(generator.normal(0, 0.05, 3)).astype(np.float32)
    exposed = image * balance * generator.uniform(0.85, 1.1)
    grain = generator.standard_normal(image.shape, np.float32) * np.float32(generator.uniform(0.004, 0.015))
    return (np.clip(exposed + grain, 0, 1) * 255 + 0.5).astype(np.uint8)


def noise(generator: np.random.Generator, size: int, cells: int, octaves: int = 1) -> FloatArray:
    """Smooth random field (size, size) of about mean 0 and variance 1.

    Args:
        generator: Source of the draws; their number does not depend on `size`.
        size: Side in pixels.
        cells: Bumps along a side.
        octaves: Number of fields that are added, each with cells half as large and half as high.
    """
    finest = cells * 2 ** (octaves - 1)
    # Everything is added up on the finest grid first, with two points to spare at each side.
    grid = np.zeros((finest + 4, finest + 4), np.float32)
    for octave in range(octaves):
        points = cells * 2**octave
        draws = generator.standard_normal((points + 4, points + 4), np.float32)
        spare = 2 * points / finest
        grid += 0.5**octave * _enlarge(draws, finest + 4, (2 - spare, points + 2 + spare))
    field = _enlarge(grid, size, (2, finest + 2))
    return np.asarray((field - field.mean()) / (field.std() + 1e-6), np.float32)


def _enlarge(grid: FloatArray, size: int, extent: tuple[float, float]) -> FloatArray:
    """Interpolate the part of a square grid between two places of each axis to (size, size)."""
    box = (extent[0], extent[0], extent[1], extent[1])
    return np.asarray(Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC, box))


def _regions(field: FloatArray, threshold: float, softness: float) -> FloatArray:
    """Turn a field into regions: 1 well above the threshold, 0 well below it."""
    return np.asarray(1 / (1 + np.exp((threshold - field) / softness)), np.float32)


def _save(pixels: NDArray[np.uint8], path: Path) -> None:
    with replacing(path) as temporary:
        # Noise hardly compresses, so more effort would only take longer.
        Image.fromarray(pixels).save(temporary, compress_level=1)


def _remove_drawn(directory: Path) -> None:
    """Remove pairs drawn with other settings; files with other names are left alone."""
    for folder in (directory / "images", directory / "masks"):
        for path in folder.glob("synthetic-*.png"):
            if re.fullmatch(r"synthetic-\d+-\d{5,}\.png", path.name):
                path.unlink()
