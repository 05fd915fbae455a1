"""What an image and its mask measure: lesion, shape of the mask, and how the mask fits the colours.

The shape is measured at native size; colours on a copy whose longer side is `COLOUR_SIDE`, since a strip
along the border should be as wide, as a share of the image, whatever the camera.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from dermseg.evaluation.metrics import bounding_box

COLOUR_SIDE = 256
"""Longer side, in pixels, of the copy that colours are measured on."""
STRIP = 0.35
"""Width of the strips on both sides of the border, as a share of the lesion's equivalent radius."""
BLACK = 12.0
"""CIELAB lightness below which a pixel is taken for the frame of the lens, which no skin is as dark as."""

_LEAST_STRIP = 3
"""Least width of a strip in pixels of the copy: narrower ones measure the blur of the border."""
_LEAST_PIXELS = 50
"""A strip of fewer pixels says nothing: the lesion fills the frame, or is a speck."""


@dataclass(frozen=True, slots=True)
class Colours:
    """How the colours on both sides of the border compare."""

    lightness: float
    """Median CIELAB lightness (0 to 100) inside less the one outside; lesions are darker: below 0."""
    contrast: float
    """CIELAB distance between the mean colours of both sides; where a mask fits no border, near 0."""


@dataclass(frozen=True, slots=True)
class Measures:
    """One image and its mask, which is not empty."""

    identifier: str
    height: int
    width: int
    area_share: float
    """Lesion as a share of the image, 0 to 1."""
    centre: tuple[float, float]
    """Centre of mass of the lesion (row, column), as shares of height and width."""
    components: int
    """Separate lesion areas; areas that touch at a corner are one."""
    largest_share: float
    """Largest of these areas as a share of the lesion."""
    holes: int
    """Areas of skin that the lesion surrounds."""
    hole_share: float
    """These areas as a share of the lesion with its holes filled."""
    sides: tuple[str, ...]
    """Sides of the image that the lesion touches: top, bottom, left, right."""
    colours: Colours | None
    """None where one side of the border has too few pixels."""


def measure_pair(identifier: str, image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Measures:
    """Measure one pair.

    Args:
        identifier: Of the pair.
        image: RGB image (height, width, 3), uint8.
        mask: Mask (height, width), bool, not empty.
    """
    height, width = mask.shape
    rows, columns = box = bounding_box(mask)
    inside = mask[box]
    area = int(np.count_nonzero(inside))
    labels, components = ndimage.label(inside, structure=np.ones((3, 3)))
    holes, hole_area = _holes(inside)
    row, column = (
        float(np.average(np.arange(n), weights=inside.sum(axis=1 - axis)) + 0.5)
        for axis, n in enumerate(inside.shape)
    )
    return Measures(
        identifier=identifier,
        height=height,
        width=width,
        area_share=area / mask.size,
        centre=((rows.start + row) / height, (columns.start + column) / width),
        components=int(components),
        largest_share=int(np.bincount(labels.ravel())[1:].max()) / area,
        holes=holes,
        hole_share=hole_area / (area + hole_area),
        sides=_sides(mask),
        colours=measure_colours(image, mask),
    )


def measure_colours(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Colours | None:
    """Compare the colours of two strips along the border of a lesion, one inside and one outside.

    Of a mask laid over the wrong image both strips hold a mixture of the same colours, so their means are
    alike: the contrast is the distance of the means. The lightness is a difference of medians, in which hairs
    and what is left of dark corners weigh little.

    Args:
        image: RGB image (height, width, 3), uint8.
        mask: Mask (height, width), bool.
    """
    picture = Image.fromarray(image)
    picture.thumbnail((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BILINEAR)
    cover = Image.fromarray(mask.astype(np.uint8) * 255).resize(picture.size, Image.Resampling.BILINEAR)
    lesion = np.asarray(cover) > 127
    lab = cielab(np.asarray(picture))
    width = max(_LEAST_STRIP, STRIP * float(np.sqrt(np.count_nonzero(lesion) / np.pi)))
    lit = lab[..., 0] >= BLACK
    # The pixels at the border itself are a mixture of both sides.
    strips = [lit & _strip(side, width) for side in (lesion, ~lesion)]
    if min(map(np.count_nonzero, strips)) < _LEAST_PIXELS:
        return None
    inner, outer = (lab[strip] for strip in strips)
    return Colours(
        lightness=float(np.median(inner[:, 0]) - np.median(outer[:, 0])),
        contrast=float(np.linalg.norm(inner.mean(axis=0) - outer.mean(axis=0))),
    )


def cielab(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Convert sRGB to CIELAB under D65 (IEC 61966-2-1 and CIE 15): distances in it are distances seen.

    Args:
        image: RGB image (height, width, 3), uint8.

    Returns:
        L* from 0 to 100, a* and b*, float32, of the same shape.
    """
    xyz = _LINEAR[image] @ _TO_XYZ.T
    edge = 6 / 29
    root = np.where(xyz > edge**3, np.cbrt(xyz), xyz / (3 * edge**2) + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


_LEVELS = np.arange(256, dtype=np.float32) / 255
_LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(np.float32)
"""Linear light of every 8-bit level."""
_PRIMARIES = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float32
)
_TO_XYZ = _PRIMARIES / _PRIMARIES.sum(axis=1, keepdims=True)
"""Linear RGB to XYZ, each relative to that of white."""


def _strip(side: NDArray[np.bool_], width: float) -> NDArray[np.bool_]:
    """Mark the pixels of one side that lie from 1 to `width` pixels from the other side."""
    distance = ndimage.distance_transform_edt(side)
    return np.asarray((distance > 1) & (distance <= width + 1))


def _holes(inside: NDArray[np.bool_]) -> tuple[int, int]:
    """Count the holes of a mask, and their pixels.

    Skin that meets at a corner only is apart, as lesion that meets there is one.
    """
    skin, areas = ndimage.label(~np.pad(inside, 1))
    # The rim of padding makes all skin that reaches the edge one area.
    around = int(np.count_nonzero(skin == skin[0, 0]))
    return int(areas) - 1, int(np.count_nonzero(skin)) - around


def _sides(mask: NDArray[np.bool_]) -> tuple[str, ...]:
    edges = {"top": mask[0], "bottom": mask[-1], "left": mask[:, 0], "right": mask[:, -1]}
    return tuple(name for name, edge in edges.items() if edge.any())
