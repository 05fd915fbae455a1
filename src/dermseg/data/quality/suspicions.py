"""What is suspicious about a pair: not wrong by itself, but worth the look of a person.

The thresholds are low enough that a person can look at all that they find: docs/data.md says how many those
are among the pairs this project develops with.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dermseg.data.quality.measures import Colours, Measures

LIGHTER = 0.0
"""CIELAB lightness that a lesion has above the skin around it, to be called lighter."""
LOW_CONTRAST = 3.0
"""CIELAB distance between both sides of the border, below which a mask may belong to another image."""
FULL = 0.99
"""Share of the image above which a mask is called full."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """One thing to look for."""

    key: str
    """Its name in the JSON file; never changes."""
    title: str
    meaning: str
    """What it may mean and what to do."""
    severity: Callable[[Measures], float | None]
    """The higher, the worse; None where there is nothing to suspect."""
    detail: Callable[[Measures], str]
    """What was measured, for a caption."""

    def find(self, measures: Sequence[Measures]) -> list[Measures]:
        """Choose the suspicious pairs, the worst first; equal ones by identifier."""
        graded = ((self.severity(pair), pair) for pair in measures)
        found = [(severity, pair) for severity, pair in graded if severity is not None]
        return [pair for _, pair in sorted(found, key=lambda entry: (-entry[0], entry[1].identifier))]


def _lighter(pair: Measures) -> float | None:
    return pair.colours.lightness if pair.colours and pair.colours.lightness > LIGHTER else None


def _low_contrast(pair: Measures) -> float | None:
    return -pair.colours.contrast if pair.colours and pair.colours.contrast < LOW_CONTRAST else None


def _full(pair: Measures) -> float | None:
    return pair.area_share if pair.area_share > FULL else None


def _all_sides(pair: Measures) -> float | None:
    return pair.area_share if len(pair.sides) == 4 else None


def _in_pieces(pair: Measures) -> float | None:
    return 1 - pair.largest_share if pair.components > 1 else None


def _with_holes(pair: Measures) -> float | None:
    return pair.hole_share if pair.holes else None


def _colours(pair: Measures) -> Colours:
    if pair.colours is None:
        raise ValueError(f"The colours of {pair.identifier} were not measured.")
    return pair.colours


SUSPICIONS = (
    Suspicion(
        "lesion_lighter",
        "Lesion lighter than skin",
        "The mask may be inverted (skin white, lesion black) or belong to another image. Lesions without "
        "pigment, and scars in them, are lighter too.",
        _lighter,
        lambda pair: f"lighter by {_colours(pair).lightness:.1f} L*",
    ),
    Suspicion(
        "low_contrast",
        "Little contrast along the border",
        "The colours on both sides of the border are nearly the same: the mask may belong to another image, "
        "be shifted, or follow a lesion that is hard to see. Lay it over the image and decide.",
        _low_contrast,
        lambda pair: f"contrast {_colours(pair).contrast:.1f}",
    ),
    Suspicion(
        "touches_all_sides",
        "Mask touches all four sides",
        "The lesion reaches out of the picture on every side, or the mask is inverted. Of an image without "
        "skin, a network cannot learn a border.",
        _all_sides,
        lambda pair: f"{pair.area_share:.0%} of the image",
    ),
    Suspicion(
        "full",
        "Full masks",
        f"More than {FULL:.0%} of the image is lesion. Such masks lift the mean score of a network that "
        "outlines too much; keep them knowingly.",
        _full,
        lambda pair: f"{pair.area_share:.1%} of the image",
    ),
    Suspicion(
        "several_components",
        "Masks in several pieces",
        "Challenges expect one region. Specks come from annotation tools; large pieces may be satellites of "
        "the lesion, or several lesions.",
        _in_pieces,
        lambda pair: f"{pair.components:,} pieces, {1 - pair.largest_share:.1%} outside the largest",
    ),
    Suspicion(
        "holes",
        "Masks with holes",
        "Skin inside the lesion. Challenges expect none; holes of a few pixels come from annotation tools.",
        _with_holes,
        lambda pair: f"{pair.holes:,} hole{'s' * (pair.holes > 1)}, {pair.hole_share:.1%} of the lesion",
    ),
)
"""Everything that is looked for, in the order of the page."""
