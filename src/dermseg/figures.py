"""Pictures of images with outlines: the overlay of one image, and sheets of many."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from dermseg.evaluation.metrics import border, bounding_box
from dermseg.files import replacing
from dermseg.paths import printable

PREDICTION_COLOUR = (0, 229, 255)
"""Cyan: neither skin nor pigment has it, and it keeps its contrast for colour-blind eyes."""
TARGET_COLOUR = (255, 214, 0)
"""Yellow."""
MADE_BY = "dermseg"
"""Written into the header of every picture, so that a later run does not take it for an input."""

_LINE_SHARE = 1 / 200
"""Width of the outline as a share of the image's shorter side."""
_SMALL = 128
"""Shorter side, in pixels, below which the line is one pixel wide."""
_HALO_OPACITY = 0.55


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """One picture of a sheet."""

    picture: NDArray[np.uint8]
    """RGB picture (height, width, 3), uint8."""
    title: str
    """What is written above it: the name of a file, say, which may be no text."""


def draw_outline(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], colour: tuple[int, int, int] = PREDICTION_COLOUR
) -> NDArray[np.uint8]:
    """Draw the outline of a mask: a bright line with a dark rim, so that it shows on skin and on pigment.

    The line is about 1/200 of the image's shorter side wide, at least three pixels (one on images below 128
    pixels), and runs along the outermost pixels of the mask.

    Args:
        image: RGB image (height, width, 3), uint8.
        mask: Mask (height, width) of the same size; an empty one leaves the image as it is.
        colour: Colour of the line.

    Returns:
        A new RGB image, uint8.
    """
    canvas = Image.fromarray(image)
    if not mask.any():
        return np.asarray(canvas)
    # The line is a row of border pixels and `radius` more on either side; three pixels hide a tiny image.
    side = min(mask.shape)
    radius = max(1, round(side * _LINE_SHARE / 2)) if side >= _SMALL else 0
    rim = max(1, radius // 2)
    rows, columns = bounding_box(mask)
    # Work around the lesion alone; two more pixels hold the softened edge of the line.
    margin = radius + rim + 2
    top, left = max(0, rows.start - margin), max(0, columns.start - margin)
    around = mask[top : rows.stop + margin, left : columns.stop + margin]
    line = _thicken(border(around), radius)
    canvas.paste((0, 0, 0), (left, top), _soft(_thicken(line, rim), _HALO_OPACITY))
    canvas.paste(colour, (left, top), _soft(line, 1.0, blur=radius > 0))
    return np.asarray(canvas)


def outlined_thumbnail(
    image: NDArray[np.uint8],
    outlines: Sequence[tuple[NDArray[np.bool_], tuple[int, int, int]]],
    side: int = 384,
) -> NDArray[np.uint8]:
    """Shrink an image and draw outlines on it, the last on top.

    Shrinking first gives the line the same width whatever the size of the image.

    Args:
        image: RGB image (height, width, 3), uint8.
        outlines: Masks (height, width) with the colour of their outline.
        side: Longest side of the result in pixels; a smaller image stays as it is.
    """
    picture = _shrink(image, side)
    for mask, colour in outlines:
        # Half covered counts as covered: a smoother border than the nearest neighbour gives.
        cover = _shrink(mask.astype(np.uint8) * 255, side)
        picture = draw_outline(picture, cover > 127, colour)
    return picture


def contact_sheet(
    tiles: Sequence[Tile],
    path: Path,
    *,
    title: str,
    legend: Sequence[tuple[str, tuple[int, int, int]]],
    columns: int = 4,
) -> None:
    """Write a sheet of pictures with their titles as PNG.

    Args:
        tiles: Pictures, row by row; at least one.
        path: Destination.
        title: Heading of the sheet.
        legend: What the colours of the outlines mean.
        columns: Pictures in a row.
    """
    # Here, since matplotlib takes a while to import and predicting does without it. The object interface
    # needs no display and leaves the caller's pyplot state alone.
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    tallest = max(tile.picture.shape[0] / tile.picture.shape[1] for tile in tiles)
    # Inches: 0.4 for the two lines of a tile's title, 0.6 for heading and legend.
    height = rows * (3 * min(tallest, 2.0) + 0.4) + 0.6
    figure = Figure(figsize=(3 * columns, height), layout="constrained", facecolor="white")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, tile in zip(axes.flat, tiles, strict=False):
        axis.imshow(tile.picture)
        axis.set_title(printable(tile.title), fontsize=9, parse_math=False)
    figure.suptitle(printable(title), fontsize=12, fontweight="bold", parse_math=False)
    figure.legend(
        [Line2D([], [], color=_hexadecimal(colour), linewidth=3) for _, colour in legend],
        [name for name, _ in legend],
        loc="outside lower center",
        ncols=len(legend),
        facecolor="0.85",
        frameon=True,
    )
    with replacing(path) as temporary, warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; the tables have it in full.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(temporary, dpi=110, metadata={"Software": MADE_BY})


def _shrink(image: NDArray[Any], side: int) -> NDArray[np.uint8]:
    small = Image.fromarray(image)
    small.thumbnail((side, side), Image.Resampling.BILINEAR)
    return np.asarray(small)


def _hexadecimal(colour: tuple[int, int, int]) -> str:
    return "#" + bytes(colour).hex()


def _thicken(line: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Widen a line by `radius` pixels on each side, to an octagon's shape, in time linear in the radius."""
    for step in range(radius):
        wide = line.copy()
        wide[1:] |= line[:-1]
        wide[:-1] |= line[1:]
        # Every other step also reaches the diagonal neighbours: between a diamond and a square.
        beside = wide.copy() if step % 2 else line
        wide[:, 1:] |= beside[:, :-1]
        wide[:, :-1] |= beside[:, 1:]
        line = wide
    return line


def _soft(line: NDArray[np.bool_], opacity: float, *, blur: bool = True) -> Image.Image:
    """Make a paste mask; softened edges look smooth, but a line of one pixel would fade."""
    levels = Image.fromarray(np.where(line, np.uint8(255 * opacity), np.uint8(0)))
    return levels.filter(ImageFilter.GaussianBlur(0.6)) if blur else levels
