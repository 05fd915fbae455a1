"""Kinds of images that every side of a split should have its share of: by lesion size and by source."""

from collections import Counter
from collections.abc import Mapping, Sequence

AREAS = (0.05, 0.15, 0.30, 0.60)
"""Shares of the image that divide small lesions from larger ones."""

_LEAST_SHARE = 0.05
"""Share of the images from which a frame size is a source of its own."""


def strata(
    identifiers: Sequence[str],
    areas: Sequence[float],
    sizes: Sequence[tuple[int, int]],
    sources: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Name the kind of every image.

    Args:
        identifiers: The images, in any order.
        areas: Share of each image that is lesion, in the same order.
        sizes: Height and width of each image in pixels, which tell cameras apart.
        sources: Where an image comes from, if that is known: a data set, or a part of one.

    Returns:
        Kind by identifier, such as `lesion 5-15 %, 767 x 1022`. Frame sizes of few images are `other sizes`.
    """
    frequent = Counter(sizes)
    least = _LEAST_SHARE * len(identifiers)
    kinds = {}
    for identifier, area, size in zip(identifiers, areas, sizes, strict=True):
        height, width = size
        camera = f"{height} x {width}" if frequent[size] >= least else "other sizes"
        source = (sources or {}).get(identifier)
        kinds[identifier] = ", ".join(filter(None, (_area(area), camera, source)))
    return kinds


def _area(share: float) -> str:
    bounds = [0, *(round(100 * bound) for bound in AREAS), 100]
    place = sum(share >= bound for bound in AREAS)
    return f"lesion {bounds[place]}-{bounds[place + 1]} %"
