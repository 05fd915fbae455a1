"""A wider frame around an image: what programs, slides and letterboxes put there."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermseg.data.augmentation.draws import ImageDraws
from dermseg.data.augmentation.settings import Augmentation

IntArray = NDArray[np.intp]

_SIDES = ((1, 1, 1, 1), (1, 1, 0, 0), (0, 0, 1, 1))
"""Top, bottom, left, right: a margin all around, and bars along one axis."""
_EVEN = 0.5
"""Share of the frames whose margins are all of one width."""
_REPEATED = 0.5
"""Share of the frames that repeat the outermost pixels; of the others a third is black, a third white, and a
third of a random colour."""


@dataclass(frozen=True)
class Frame:
    """Where an image is in its frame, and what lies around it."""

    rows: slice
    columns: slice
    colour: tuple[int, int, int] | None
    """Of the frame; None where it repeats the outermost pixels."""

    def repeated(self, height: int, width: int) -> tuple[IntArray, IntArray]:
        """Return the rows and columns of the image inside that are nearest to those of the frame."""
        return (
            np.clip(np.arange(height), self.rows.start, self.rows.stop - 1),
            np.clip(np.arange(width), self.columns.start, self.columns.stop - 1),
        )

    def shrunk(self, height: int, width: int) -> tuple[IntArray, IntArray]:
        """Return the rows and columns of the image before that those inside show."""
        return _shrunk(height, self.rows), _shrunk(width, self.columns)


def draw_frame(draws: ImageDraws, augmentation: Augmentation, height: int, width: int) -> Frame:
    """Draw the frame of one image."""
    generator = np.random.default_rng(draws.seed("frame_seed"))
    sides = np.array(_SIDES[generator.integers(len(_SIDES))])
    widths = generator.random(4) if generator.random() >= _EVEN else generator.random()
    top, bottom, left, right = augmentation.frame_margin * sides * widths
    kind, colour = generator.random(), generator.integers(0, 256, 3).tolist()
    paints = ((0, 0, 0), (255, 255, 255), tuple(colour))
    paint = None if kind < _REPEATED else paints[int(3 * (kind - _REPEATED) / (1 - _REPEATED))]
    return Frame(_inside(height, top, bottom), _inside(width, left, right), paint)


def _inside(side: int, before: float, after: float) -> slice:
    """Return the part of a side that an image takes beside margins given as shares of its own side."""
    taken = max(1, round(side / (1 + before + after)))
    free = side - taken
    start = round(free * before / (before + after)) if free else 0
    return slice(start, start + taken)


def _shrunk(side: int, inside: slice) -> IntArray:
    taken = inside.stop - inside.start
    places: IntArray = (2 * np.arange(taken, dtype=np.intp) + 1) * side // (2 * taken)
    return places
