"""Figure 4 of the paper: images with the outlines of every system, chosen by rule, and the worst of each.

These pictures need the images themselves, and the masks that cells keep; everything else in a report comes
from stored scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from dermseg.benchmark.figures import WIDTH, Drawing
from dermseg.benchmark.report_analysis import Analysis, Compared
from dermseg.benchmark.report_results import Results, SystemResult
from dermseg.benchmark.tables_analysis import most_disputed
from dermseg.data.images import read_image, read_mask
from dermseg.data.pairs import Pair
from dermseg.data.readers import read_collection
from dermseg.errors import DataError
from dermseg.figures import PREDICTION_COLOUR, TARGET_COLOUR, draw_outline
from dermseg.paths import printable

SIDE = 240
"""Longer side of a picture in pixels."""
_COLUMNS = 6

Picture = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Pictures:
    """The images of a benchmark, and the masks that its cells predicted."""

    pairs: dict[str, Pair] = field(default_factory=dict)
    """By identifier as scores have it."""
    missing: str = ""
    """Why there are none; empty where there are."""

    def draw(self, identifier: str, system: SystemResult | None) -> Picture | None:
        """Draw an image with the true border, and with a system's outline.

        Args:
            identifier: Of the image.
            system: None for the true border alone.

        Returns:
            RGB picture, at most `SIDE` pixels; None where the image or the mask cannot be read.
        """
        pair = self.pairs.get(identifier)
        if pair is None:
            return None
        try:
            picture, target = _reduced(pair)
            predicted = None if system is None else read_mask(_mask_file(system, identifier, pair))
        except DataError:
            return None
        picture = draw_outline(picture, target, TARGET_COLOUR)
        if predicted is None:
            return picture
        return draw_outline(picture, _resized(predicted, picture), PREDICTION_COLOUR)


def read_pictures(results: Results, data: Path | None) -> Pictures:
    """Find the images of a benchmark.

    Args:
        results: The benchmark, which knows where they were.
        data: Where they are now; None for the same place.
    """
    known = results.plan.data
    masks = None if known.masks is None or data is not None else Path(known.masks)
    try:
        collection = read_collection(data or Path(known.folder), known.layout, masks)
    except DataError as error:
        return Pictures(missing=f"The images cannot be read: {error} Name their folder with --data.")
    return Pictures({printable(pair.identifier): pair for pair in collection.pairs})


def chosen_images(compared: Compared) -> dict[str, str]:
    """Choose images by rule, so that nobody picks them.

    Returns:
        What each is (best, median and worst by mean Dice over systems, and most disagreement) to its
        identifier; ties go to the first identifier.
    """
    order = np.argsort(compared.dice.mean(axis=1), kind="stable")
    chosen = {
        "best": order[-1],
        "median": order[len(order) // 2],
        "worst": order[0],
        "most disagreement": most_disputed(compared)[0],
    }
    return {name: compared.identifiers[int(number)] for name, number in chosen.items()}


def images_drawing(analysis: Analysis, pictures: Pictures) -> Drawing | None:
    """Draw the chosen images, each with the outline of every system; None without images or masks."""
    if analysis.compared is None or not pictures.pairs:
        return None
    systems = [system for system in analysis.ranked() if system.label in analysis.compared.labels]
    rows = [
        (name, identifier, [pictures.draw(identifier, system) for system in [None, *systems]])
        for name, identifier in chosen_images(analysis.compared).items()
    ]
    if not any(picture is not None for _, _, drawn in rows for picture in drawn[1:]):
        return None
    columns = min(_COLUMNS, len(systems) + 1)
    lines = -(-(len(systems) + 1) // columns)
    figure = Figure(figsize=(WIDTH, (WIDTH / columns * 0.95 + 0.4) * lines * len(rows)), layout="constrained")
    panels = figure.subplots(lines * len(rows), columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for number, (name, identifier, drawn) in enumerate(rows):
        titles = [f"{name}\n{identifier}", *_titles(systems, identifier)]
        block = panels[lines * number : lines * (number + 1)].flat
        for axes, picture, title in zip(block, drawn, titles, strict=False):
            axes.set_title(title, fontsize=6, parse_math=False)
            if picture is None:
                axes.text(0.5, 0.5, "no mask kept", ha="center", va="center", fontsize=6)
            else:
                axes.imshow(picture)
    return Drawing(
        "images",
        "Outlines (Figure 4)",
        "Yellow: true border; cyan: the system's. Best, median and worst image by mean Dice over the "
        "compared systems, and the one with the largest spread, chosen by these rules alone. Of several "
        "seeds, the outline is the first one's and Dice the mean.",
        figure,
    )


def _titles(systems: Sequence[SystemResult], identifier: str) -> list[str]:
    # A variant's label is longer than its panel is wide.
    names = (system.label.replace("+", "\n+") for system in systems)
    return [
        f"{name}\nDice {system.images[identifier]['dice']:.3f}"
        for name, system in zip(names, systems, strict=True)
    ]


def _mask_file(system: SystemResult, identifier: str, pair: Pair) -> Path:
    cell = next(cell for cell in system.done if identifier in cell.identifiers)
    return cell.folder / "masks" / f"{pair.identifier}.png"


@cache
def _reduced(pair: Pair) -> tuple[Picture, NDArray[np.bool_]]:
    """Read an image and its mask, reduced to `SIDE`; many systems are drawn on one image."""
    small = Image.fromarray(read_image(pair.image))
    small.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    picture = np.asarray(small)
    return picture, _resized(read_mask(pair.mask), picture)


def _resized(mask: NDArray[np.bool_], picture: Picture) -> NDArray[np.bool_]:
    """Bring a mask to the size of a picture; half covered counts as covered."""
    height, width = picture.shape[:2]
    cover = Image.fromarray(mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(cover) > 127
