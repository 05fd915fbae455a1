"""A contact sheet of augmented images, so that a person sees what the network sees."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dermseg.data.augment import Augmentation, augment, create_augmentation
from dermseg.data.decoding import Decoded, decoded, faults
from dermseg.data.geometry import Geometry, check_geometry
from dermseg.data.pairs import Problem
from dermseg.data.preprocessing.table import check_steps
from dermseg.data.readers import read_collection
from dermseg.errors import ConfigError, DataError
from dermseg.figures import TARGET_COLOUR, Tile, contact_sheet, draw_outline

VIEWS = 6
"""Views of each image, beside the image itself."""
SIZES = range(16, 2049)
"""Sides in pixels: below there is nothing to see, beyond nothing more to see."""
ROWS = range(1, 101)
"""Numbers of rows; taller sheets are beyond what programs show."""

Picture = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Image (size, size, 3) and mask (size, size) of 0 and 1."""


def preview(
    path: Path,
    out: Path,
    *,
    size: int = 256,
    seed: int = 0,
    rows: int = 4,
    preset: str = "default",
    geometry: Geometry = "squash",
    preprocessing: Sequence[str] = (),
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
        geometry: How images come into the square.
        preprocessing: What is done to them there: names in `dermseg.data.preprocessing.table`.
        layout: How the folder is laid out.
        masks: Folder of the masks, where they are not beside the images.

    Returns:
        The files that training would leave out; other images took their rows. What is no pair is left to
        `check`.

    Raises:
        ConfigError: An argument is outside its range, or there is no such preset, geometry or step.
        DataError: No image can be shown.
    """
    _check(out, size, seed, rows)
    augmentation = create_augmentation({"preset": preset})
    made = [check_geometry(geometry), *check_steps(preprocessing)]
    collection = read_collection(path, layout, masks)
    order = np.random.default_rng(seed).permutation(len(collection.pairs))
    problems: list[Problem] = []
    found = decoded([collection.pairs[index] for index in order], size, 1, geometry, preprocessing)
    generator = torch.Generator().manual_seed(seed)
    tiles: list[Tile] = []
    for identifier, picture in islice(_usable(found, problems), rows):
        views = _views(picture, generator, augmentation)
        titles = [identifier, *(f"view {number}" for number in range(1, VIEWS + 1))]
        tiles += [_tile(*view, title) for view, title in zip([picture, *views], titles, strict=True)]
    if not tiles:
        raise DataError(f"{path} has no image that can be shown: {problems[0].path} {problems[0].reason}")
    contact_sheet(
        tiles,
        out,
        title=f"{collection.name} at {size} px ({', '.join(made)}), augmentation: {preset}",
        legend=[("mask", TARGET_COLOUR)],
        columns=1 + VIEWS,
    )
    return problems


def _check(out: Path, size: int, seed: int, rows: int) -> None:
    if out.suffix.lower() != ".png":
        raise ConfigError(f"out: {out} must end in .png, since the sheet is a PNG file")
    for name, value, allowed in (("rows", rows, ROWS), ("size", size, SIZES)):
        if value not in allowed:
            raise ConfigError(f"{name}={value} must be from {allowed[0]} to {allowed[-1]}")
    if seed < 0:
        raise ConfigError(f"seed={seed} must be at least 0")


def _usable(found: Iterable[Decoded], problems: list[Problem]) -> Iterator[tuple[str, Picture]]:
    """Give the pairs that a training would use; those that it would leave out become problems."""
    for entry, image, mask in found:
        if image is None or mask is None:
            problems += faults([entry])
        else:
            yield entry["identifier"], (image, mask)


def _views(picture: Picture, generator: torch.Generator, augmentation: Augmentation) -> list[Picture]:
    image, mask = picture
    images = torch.tensor(image).permute(2, 0, 1).expand(VIEWS, -1, -1, -1)
    masks = torch.tensor(mask).expand(VIEWS, 1, -1, -1)
    views, moved = augment(images, masks, generator, augmentation)
    return [
        (view.permute(1, 2, 0).numpy(), lesion[0].numpy()) for view, lesion in zip(views, moved, strict=True)
    ]


def _tile(image: NDArray[np.uint8], mask: NDArray[np.uint8], title: str) -> Tile:
    return Tile(draw_outline(np.ascontiguousarray(image), mask.astype(bool), TARGET_COLOUR), title)
