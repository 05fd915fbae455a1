"""A contact sheet of augmented images, so that a person sees what the network sees."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dermseg.data.augment import Augmentation, augment, create_augmentation
from dermseg.data.images import resize_image, resize_mask
from dermseg.data.pairs import Pair, Problem, read_pair
from dermseg.data.readers import read_collection
from dermseg.errors import ConfigError, DataError
from dermseg.figures import TARGET_COLOUR, Tile, contact_sheet, draw_outline

VIEWS = 6
"""Views of each image, beside the image itself."""
SIZES = range(16, 2049)
"""Sides in pixels: below there is nothing to see, beyond nothing more to see."""
ROWS = range(1, 101)
"""Numbers of rows; taller sheets are beyond what programs show."""

Picture = tuple[NDArray[np.uint8], NDArray[np.bool_]]
"""Image (size, size, 3) and mask (size, size)."""


def preview(
    path: Path,
    out: Path,
    *,
    size: int = 256,
    seed: int = 0,
    rows: int = 4,
    preset: str = "default",
    layout: str = "auto",
    masks: Path | None = None,
) -> list[Problem]:
    """Write a sheet of some images of a data set, each in a row with views of it and the outline of its mask.

    Args:
        path: Folder of a data set.
        out: The sheet, a PNG file.
        size: Side in pixels at which images are augmented, as in training.
        seed: Chooses the images and the views.
        rows: Images to show, where there are as many.
        preset: Name of an augmentation in `dermseg.data.augment.PRESETS`.
        layout: How the folder is laid out.
        masks: Folder of the masks, where they are not beside the images.

    Returns:
        The files that could not be decoded; other images took their rows. What is no pair is left to `check`.

    Raises:
        ConfigError: An argument is outside its range, or there is no such preset.
        DataError: No image can be shown.
    """
    if out.suffix.lower() != ".png":
        raise ConfigError(f"out: {out} must end in .png, since the sheet is a PNG file")
    for name, value, allowed in (("rows", rows, ROWS), ("size", size, SIZES)):
        if value not in allowed:
            raise ConfigError(f"{name}={value} must be from {allowed[0]} to {allowed[-1]}")
    if seed < 0:
        raise ConfigError(f"seed={seed} must be at least 0")
    augmentation = create_augmentation({"preset": preset})
    collection = read_collection(path, layout, masks)
    order = np.random.default_rng(seed).permutation(len(collection.pairs))
    problems: list[Problem] = []
    readable = _readable([collection.pairs[index] for index in order], size, problems)
    generator = torch.Generator().manual_seed(seed)
    tiles: list[Tile] = []
    for identifier, picture in islice(readable, rows):
        views = _views(picture, generator, augmentation)
        titles = [identifier, *(f"view {number}" for number in range(1, VIEWS + 1))]
        tiles += [_tile(*view, title) for view, title in zip([picture, *views], titles, strict=True)]
    if not tiles:
        raise DataError(f"{path} has no image that can be shown: {problems[0].path} {problems[0].reason}")
    contact_sheet(
        tiles,
        out,
        title=f"{collection.name} at {size} px, augmentation: {preset}",
        legend=[("mask", TARGET_COLOUR)],
        columns=1 + VIEWS,
    )
    return problems


def _readable(pairs: Sequence[Pair], size: int, problems: list[Problem]) -> Iterator[tuple[str, Picture]]:
    """Read pairs one after the other; those that cannot be read become problems."""
    for pair in pairs:
        found = read_pair(pair)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            image, mask = found
            yield pair.identifier, (resize_image(image, size), resize_mask(mask, size))


def _views(picture: Picture, generator: torch.Generator, augmentation: Augmentation) -> list[Picture]:
    image, mask = picture
    images = torch.tensor(image).permute(2, 0, 1).expand(VIEWS, -1, -1, -1)
    masks = torch.tensor(mask, dtype=torch.uint8).expand(VIEWS, 1, -1, -1)
    views, moved = augment(images, masks, generator, augmentation)
    return [
        (view.permute(1, 2, 0).numpy(), lesion[0].bool().numpy())
        for view, lesion in zip(views, moved, strict=True)
    ]


def _tile(image: NDArray[np.uint8], mask: NDArray[np.bool_], title: str) -> Tile:
    return Tile(draw_outline(np.ascontiguousarray(image), mask, TARGET_COLOUR), title)
