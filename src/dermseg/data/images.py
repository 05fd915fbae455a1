"""Image and mask files as arrays, and the one resize that everything shares."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermseg.data.geometry import Geometry, place
from dermseg.data.opening import opened, tiff_tag, upright, upright_size
from dermseg.errors import DataError

MAX_MIDDLE_GREY = 0.05
"""Largest share of middle greys in a mask; blurred or JPEG-compressed borders stay well below it."""

MIN_CONTRAST = 64
"""Smallest distance, in grey levels, between the darkest and the lightest of a mask of many levels."""

_BITS = 258
"""Tag of a TIFF: bits of each channel."""
_TWELVE_BITS = (12,)
"""Of some grey TIFF; Pillow reads them into 16 as they are."""


def read_image(path: Path | str) -> NDArray[np.uint8]:
    """Read an image as 8-bit RGB, turned upright by its EXIF orientation.

    Palettes and CMYK are converted, transparency is dropped (the colours below it are kept), grey is
    repeated over the channels, 16-bit values are scaled by 1/257, 12-bit ones of a TIFF by 255/4095,
    floating-point values in [0, 1] by 255. Grey of more than 8 bits that holds no value above 255 is refused:
    scaled, it would be black. Of a file with several frames the first is read.

    Args:
        path: A file of any format in `dermseg.data.opening.IMAGE_SUFFIXES`.

    Returns:
        Array (height, width, 3), uint8. It is read-only, which saves a copy; `.copy()` can be changed.

    Raises:
        DataError: The file is missing, unreadable, truncated, too large or of an unknown colour space.
    """
    path = Path(path)
    with opened(path) as image:
        return np.asarray(_colours(image, path))


def read_resized(
    path: Path, size: int, geometry: Geometry = "squash"
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Read an image and resize it: the pixels of `resize_image(read_image(path), ...)` in less memory.

    JPEG files are decoded in full. Pillow could decode them at a fraction of their size, several times as
    fast, but to other pixels than the predictor makes of an image that it is given as an array.

    Args:
        path: As `read_image` takes it.
        size: Side of the result in pixels.
        geometry: How the image comes into the square.

    Returns:
        Array (size, size, 3), uint8, and the (height, width) of the whole upright image.

    Raises:
        DataError: As `read_image` does.
    """
    with opened(path) as image:
        colours = _colours(image, path)
        return _placed(colours, size, geometry, Image.Resampling.BILINEAR), (colours.height, colours.width)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read a lesion mask; True is lesion.

    - One level: zero is an empty mask, anything else a full one.
    - Two levels (0/255, 0/1, or black and any colour): the lighter one is lesion.
    - More levels, as JPEG or a smooth resize leave them: cut at the middle of their range, provided at
      most `MAX_MIDDLE_GREY` of the pixels lie in the middle half of that range and the range spans at
      least `MIN_CONTRAST` levels. Otherwise the file is a photograph or a map of several classes.

    Args:
        path: A file of any format that `read_image` takes. Transparency is ignored, unless only it varies.

    Returns:
        Array (height, width), bool.

    Raises:
        DataError: The file cannot be read, or is not a mask.
    """
    with opened(path) as image:
        turned = upright(image)
        grey = _levels(turned)
        low, high = float(grey.min()), float(grey.max())
        if low == high and not _is_of_one_colour(turned):
            raise DataError(
                f"{path} is not a mask: its colours are equally light, or it is drawn in transparency alone; "
                "export it as black (0) and white (255)."
            )
    if not np.isfinite(low + high):
        raise DataError(f"{path} is not a mask: it holds values that are not numbers; export it again.")
    if low == high:
        return np.full(grey.shape, high > 0)
    if np.all((grey == low) | (grey == high)):
        return np.asarray(grey == high)
    _check_almost_binary(grey, low, high, path)
    return np.asarray(grey > (low + high) / 2)


def read_size(path: Path) -> tuple[int, int]:
    """Read (height, width) of an upright image from the header of its file, without decoding pixels.

    Raises:
        DataError: The file is missing, too large or not an image.
    """
    with opened(path) as image:
        return upright_size(image)


def resize_image(image: NDArray[np.uint8], size: int, geometry: Geometry = "squash") -> NDArray[np.uint8]:
    """Bring an image into a square, bilinearly and with antialiasing.

    The cache that training reads and the predictor both resize like this, so a model sees the same pixels in
    both. It agrees with torchvision's `resize(..., antialias=True)` to one grey level.

    What the image leaves of the square (`fit`) mirrors it, in image and mask alike: bars of one colour would
    be a border that no skin has, and a long run of equal steps for a network that scans rows.

    Args:
        image: Array (height, width, 3), uint8.
        size: Side of the result in pixels.
        geometry: How the image comes into the square.

    Returns:
        Array (size, size, 3), uint8.
    """
    return _placed(Image.fromarray(image), size, geometry, Image.Resampling.BILINEAR)


def resize_mask(mask: NDArray[np.bool_], size: int, geometry: Geometry = "squash") -> NDArray[np.bool_]:
    """Bring a mask (height, width) to (size, size) by nearest neighbour, so that it stays binary."""
    levels = Image.fromarray(mask.astype(np.uint8))
    return _placed(levels, size, geometry, Image.Resampling.NEAREST).astype(bool)


def _placed(
    image: Image.Image, size: int, geometry: Geometry, resampling: Image.Resampling
) -> NDArray[np.uint8]:
    source, target = place(image.height, image.width, size, geometry)
    pixels = np.asarray(image.resize((target.width, target.height), resampling, box=source.corners))
    margins = [(before, size - before - side) for before, side in zip(target[:2], target[2:], strict=True)]
    if not any(map(any, margins)):
        return pixels
    return np.pad(pixels, margins + [(0, 0)] * (pixels.ndim - 2), mode="symmetric")


def _colours(image: Image.Image, path: Path) -> Image.Image:
    """Turn an opened image upright and make it 8-bit RGB."""
    turned = upright(image)
    if turned.mode.startswith(("I", "F")):
        deepest = 4095 if tiff_tag(image, _BITS) == _TWELVE_BITS else 65535
        turned = Image.fromarray(_eight_bits(np.asarray(turned), deepest, path))
    return _rgb(turned)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in {"P", "PA", "RGBa", "La"}:
        # Straight to RGB, Pillow would warn about transparent palettes and refuse premultiplied alpha.
        image = image.convert("RGBA") if image.mode != "La" else image.convert("LA")
    # Pillow would copy what is RGB already.
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(values: NDArray[Any], deepest: int, path: Path) -> NDArray[np.uint8]:
    """Scale grey values up to the deepest, or floating-point ones in [0, 1], to 8 bits."""
    full = 1.0 if values.dtype.kind == "f" else float(deepest)
    if not (values.min() >= 0 and values.max() <= full):
        raise DataError(
            f"{path} holds values from {values.min():g} to {values.max():g}, expected 0 to {full:g}; "
            "export it as an 8-bit or 16-bit image."
        )
    # Most likely 8-bit values in a wider type. Taking them for such would make the scale of an image depend
    # on what it shows.
    if values.dtype.kind != "f" and 0 < values.max() <= 255:
        raise DataError(
            f"{path} holds no value above {values.max()} in more than 8 bits, of which 16 make it black; "
            "export it as an 8-bit image."
        )
    return np.round(values.astype(np.float32) * (255.0 / full)).astype(np.uint8)


def _levels(image: Image.Image) -> NDArray[Any]:
    """Reduce a mask to one level a pixel, the highest of its channels."""
    if image.mode in {"LA", "La"}:
        return np.asarray(image.convert("L"))
    # A 16-bit mask may hold 0 and 1, so greys are not scaled to 8 bits here.
    grey = image.mode == "1" or image.mode.startswith(("L", "I", "F"))
    return np.asarray(image) if grey else np.asarray(_rgb(image)).max(axis=2)


def _is_of_one_colour(image: Image.Image) -> bool:
    """Whether all pixels of a mask are alike in colour and transparency."""
    if image.mode == "1" or image.mode in {"L", "I", "F"} or image.mode.startswith("I;"):
        return True  # greys, which are known to be of one level
    pixels = np.asarray((image.convert("LA") if image.mode == "La" else image).convert("RGBA"))
    return bool((pixels == pixels[0, 0]).all())


def _check_almost_binary(grey: NDArray[Any], low: float, high: float, path: Path) -> None:
    quarter = (high - low) / 4
    middle = float(np.mean((grey > low + quarter) & (grey < high - quarter)))
    if middle > MAX_MIDDLE_GREY or high - low < MIN_CONTRAST:
        raise DataError(
            f"{path} is not a mask: {np.unique(grey).size} levels from {low:g} to {high:g}, "
            f"{middle:.0%} of the pixels in between; expected black (0) and white (255) only: export the "
            "mask again, or check that image and mask are not swapped."
        )
