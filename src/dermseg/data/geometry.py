"""How an image of any shape comes into a square, and how the square lies in the image again.

Arithmetic only: `dermseg.data.images` moves pixels by it, the predictor brings logits back by it, and the
arguments of a training name it without loading either.
"""

from typing import Literal, NamedTuple, get_args

from dermseg.errors import ConfigError

Geometry = Literal["squash", "fit", "crop"]
"""`squash`: the whole frame, its sides scaled apart. `fit`: the whole frame at its own aspect, in the middle;
the rest of the square mirrors it. `crop`: the largest square in the middle, so that the ends of the long side
are left out."""

GEOMETRIES: tuple[Geometry, ...] = get_args(Geometry)

LARGEST_SIDE = 8192
"""Side of a square in pixels beyond which a size is taken for a mistake."""


class Area(NamedTuple):
    """A rectangle of whole pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the rectangle in an array (..., height, width)."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom, as Pillow writes a box."""
        return self.left, self.top, self.left + self.width, self.top + self.height


class Placement(NamedTuple):
    """Which part of an image a square shows, and where."""

    source: Area
    """Part of the image."""
    target: Area
    """Part of the square that shows it; the rest of the square mirrors this part."""


def check_geometry(geometry: str) -> Geometry:
    """Return the name of a geometry as it was given.

    Raises:
        ConfigError: There is no such geometry.
    """
    for known in GEOMETRIES:
        if geometry == known:
            return known
    raise ConfigError(f"geometry is {geometry!r}; choose {', '.join(GEOMETRIES)}")


def place(height: int, width: int, size: int, geometry: Geometry) -> Placement:
    """Say how an image (height, width) comes into a square of `size` pixels.

    Args:
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        size: Side of the square, in pixels.
        geometry: How; see `Geometry`.

    Returns:
        Both areas, each of at least one pixel.
    """
    source, target = Area(0, 0, height, width), Area(0, 0, size, size)
    if geometry == "crop":
        side = min(height, width)
        source = _middle(height, width, side, side)
    elif geometry == "fit":
        scale = size / max(height, width)
        target = _middle(size, size, max(1, round(scale * height)), max(1, round(scale * width)))
    return Placement(source, target)


def _middle(height: int, width: int, inner_height: int, inner_width: int) -> Area:
    """Place a rectangle in the middle of one that holds it."""
    return Area((height - inner_height) // 2, (width - inner_width) // 2, inner_height, inner_width)
