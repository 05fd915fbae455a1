"""Drawn lesions with exact masks, so that the demo, the tests and the tutorials need no download.

Skin and lesion are layers of pigment that absorb light (Beer-Lambert): a pixel is exp(-absorbance) of the
light, and absorbances add. Melanin near the surface looks brown, melanin deeper down blue, blood red. Made to
exercise a segmenter, not to stand for patients: scores on these images say nothing about real ones.
"""

import json
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from dermseg.data.artefacts import FloatArray, add_bubbles, add_hair, add_ruler, add_vignette
from dermseg.data.pairs import Collection, Pair
from dermseg.errors import ConfigError
from dermseg.files import replacing, write_json

VERSION = 1
"""Raised when the same seed draws other pictures; folders of other versions are drawn anew."""

# Absorbance of red, green and blue light at density 1.
_MELANIN = np.array([0.70, 1.05, 1.35], np.float32)
_DEEP_MELANIN = np.array([1.15, 0.95, 0.62], np.float32)
_BLOOD = np.array([0.05, 0.42, 0.34], np.float32)

_MINIMUM_SIZE = 16


def synthetic_collection(directory: Path, count: int, size: int, seed: int) -> Collection:
    """Draw pairs into `directory/images` and `directory/masks`, or reuse those that are there.

    Args:
        directory: Folder for the pairs; it can be read as layout `folder`, too.
        count: Number of pairs.
        size: Side in pixels.
        seed: Pair i depends on the seed and i alone, not on `count`.

    Returns:
        The pairs.

    Raises:
        ConfigError: `count` is below 1 or `size` below 16.
    """
    if count < 1 or size < _MINIMUM_SIZE:
        raise ConfigError(f"count={count} must be at least 1 and size={size} at least {_MINIMUM_SIZE}.")
    label = directory / "synthetic.json"
    wanted = {"version": VERSION, "size": size, "seed": seed}
    if not label.exists() or json.loads(label.read_text(encoding="utf-8")) != wanted:
        _remove_drawn(directory)
        write_json(label, wanted)
    pairs = []
    for index in range(count):
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
    absorbance = _skin(size, generator) + _lesion(mask, depth, generator)
    image = np.exp(-absorbance)
    if generator.random() < 0.5:
        image = add_hair(image, generator, int(generator.integers(1, 25)))
    if generator.random() < 0.25:
        image = add_ruler(image, generator)
    if generator.random() < 0.25:
        image = add_bubbles(image, generator, int(generator.integers(1, 9)))
    if generator.random() < 0.4:
        image = add_vignette(image, generator, hard=generator.random() < 0.2)
    return _photograph(image, generator), mask


def _outline(size: int, generator: np.random.Generator) -> tuple[NDArray[np.bool_], FloatArray]:
    """Draw a lesion's mask, and how deep inside it each pixel is (0 at the border, about 1 in the middle)."""
    radius = float(np.clip(generator.lognormal(np.log(0.24), 0.35), 0.1, 0.42))
    aspect = generator.uniform(0.7, 1.0)
    angle = generator.uniform(0, np.pi)
    centre = 0.5 + generator.normal(0, 0.05, 2)
    places = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = places[None, :] - np.float32(centre[0]), places[:, None] - np.float32(centre[1])
    along = (x * np.cos(angle) + y * np.sin(angle)) * np.float32(aspect)
    across = (y * np.cos(angle) - x * np.sin(angle)) / np.float32(aspect)
    ragged = generator.uniform(0.08, 0.28) * noise(generator, size, 3, octaves=5)
    depth = 1 - np.hypot(along, across) / radius + ragged * min(1.0, 0.25 / radius)
    return _one_region(depth > 0), depth.astype(np.float32)


def _one_region(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep the largest connected region and fill its holes, as annotators do."""
    regions, count = ndimage.label(mask)
    if count > 1:
        mask = regions == 1 + np.argmax(np.bincount(regions.ravel())[1:])
    return np.asarray(ndimage.binary_fill_holes(mask))


def _skin(size: int, generator: np.random.Generator) -> FloatArray:
    """Absorbance (size, size, 3) of skin of any tone, with mottles, fine texture and some freckles."""
    melanin = 0.06 + 1.15 * generator.beta(0.8, 2.2)
    blood = generator.uniform(0.2, 1.1)
    mottled = 1 + 0.12 * noise(generator, size, 4, octaves=3)
    texture = generator.uniform(0.01, 0.035) * noise(generator, size, 48, octaves=2)
    brown = melanin * mottled + texture
    if generator.random() < 0.4:
        brown = brown + generator.uniform(0.1, 0.3) * _blobs(noise(generator, size, 14), 2.0, 0.3)
    red = blood * (1 + 0.25 * noise(generator, size, 5, octaves=3))
    return _layer(brown, _MELANIN) + _layer(red, _BLOOD)


def _lesion(mask: NDArray[np.bool_], depth: FloatArray, generator: np.random.Generator) -> FloatArray:
    """Absorbance (size, size, 3) that a lesion adds to the skin."""
    size = len(mask)
    inside = _soft(mask, generator)
    density = float(np.clip(generator.lognormal(np.log(0.65), 0.5), 0.18, 1.8))
    clumps = noise(generator, size, 5, octaves=4)
    core = generator.uniform(0, 0.6) * np.clip(depth, 0, 1)
    brown = density * np.clip(0.85 + core + generator.uniform(0.1, 0.4) * clumps, 0.25, None)
    brown = brown * (1 + generator.uniform(0, 0.7) * _network(size, generator))
    if generator.random() < 0.4:
        brown = brown + generator.uniform(0.2, 0.7) * _blobs(noise(generator, size, 32), 1.0, 0.2)
    red = generator.uniform(0, 0.9) * np.clip(0.5 + 0.5 * noise(generator, size, 4, octaves=2), 0, None)
    layers = _layer(brown, _MELANIN) + _layer(red, _BLOOD)
    if generator.random() < 0.35:
        # A second, darker colour in part of the lesion, brown or bluish.
        part = _blobs(noise(generator, size, 3, octaves=4), generator.uniform(0.2, 1.0), 0.25)
        pigment = _DEEP_MELANIN if generator.random() < 0.5 else _MELANIN
        layers = layers + _layer(generator.uniform(0.4, 1.1) * part, pigment)
    if generator.random() < 0.2:
        # Regression: pigment lost from a part.
        part = _blobs(noise(generator, size, 3, octaves=3), generator.uniform(0.4, 1.2), 0.25)
        layers = layers * (1 - 0.7 * part[..., None])
    return layers * inside[..., None]


def _soft(mask: NDArray[np.bool_], generator: np.random.Generator) -> FloatArray:
    """Blur a mask, sharper on some of its border than on the rest."""
    size = len(mask)
    solid = mask.astype(np.float32)
    sharp = ndimage.gaussian_filter(solid, generator.uniform(0.002, 0.008) * size)
    soft = ndimage.gaussian_filter(solid, generator.uniform(0.01, 0.03) * size, truncate=3)
    share = _blobs(noise(generator, size, 2), generator.uniform(-1, 1), 0.4)
    return np.asarray(sharp + share * (soft - sharp), np.float32)


def _network(size: int, generator: np.random.Generator) -> FloatArray:
    """Pigment network: a honeycomb of dark lines, bent by noise; values from -0.4 (mesh) to 1 (line).

    Three plane waves at 60 degrees add up to a lattice of round maxima, the pale meshes.
    """
    period = generator.uniform(0.022, 0.04)
    places = np.arange(size, dtype=np.float32) / size
    bend = 0.35 * period
    x = places[None, :] + bend * noise(generator, size, 12, octaves=2)
    y = places[:, None] + bend * noise(generator, size, 12, octaves=2)
    start = generator.uniform(0, np.pi)
    lattice = np.zeros((size, size), np.float32)
    for turn in range(3):
        angle = start + turn * np.pi / 3
        lattice += np.cos((x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / period))
    patchy = _blobs(noise(generator, size, 3, octaves=2), -0.3, 0.4)
    return np.asarray(np.clip(0.6 - 0.55 * lattice, -0.4, 1) * patchy, np.float32)


def _photograph(image: FloatArray, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Light, white balance, a little blur and sensor noise."""
    size = len(image)
    balance = np.exp(generator.normal(0, 0.05, 3)).astype(np.float32)
    exposed = image * balance * generator.uniform(0.85, 1.1)
    exposed = ndimage.gaussian_filter(exposed, (0.0015 * size, 0.0015 * size, 0))
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
    field = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        points = cells * 2**octave
        grid = Image.fromarray(generator.standard_normal((points + 4, points + 4), np.float32))
        box = (2, 2, points + 2, points + 2)
        field += np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC, box)) * 0.5**octave
    return np.asarray((field - field.mean()) / (field.std() + 1e-6), np.float32)


def _blobs(field: FloatArray, threshold: float, softness: float) -> FloatArray:
    """Turn a field into regions: 1 well above the threshold, 0 well below it."""
    return np.asarray(1 / (1 + np.exp((threshold - field) / softness)), np.float32)


def _layer(density: FloatArray, pigment: FloatArray) -> FloatArray:
    return np.asarray(density[..., None] * pigment, np.float32)


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
