"""Image and mask files as arrays, and the one resize that everything shares."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from dermseg.errors import DataError

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm"}
    | {".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"}
)
"""Lower-case endings of the files taken for images; files are opened if they have one of these formats."""

MAX_PIXELS = 178_956_970
"""Larger images are refused (Pillow's own limit): a tiny file can unpack to more memory than there is."""

MAX_MIDDLE_GREY = 0.05
"""Largest share of middle greys in a mask; blurred or JPEG-compressed borders stay well below it."""

MIN_CONTRAST = 64
"""Smallest distance, in grey levels, between the darkest and the lightest of a mask of many levels."""

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by its EXIF orientation."""
_SIDEWAYS = {5, 6, 7, 8}


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image as 8-bit RGB, turned upright by its EXIF orientation.

    Palettes and CMYK are converted, transparency is dropped (the colours below it are kept), grey is
    repeated over the channels, 16-bit values are scaled by 1/257, floating-point values in [0, 1] by 255.
    Of a file with several frames the first is read.

    Args:
        path: A file of any format in `IMAGE_SUFFIXES`.

    Returns:
        Array (height, width, 3), uint8.

    Raises:
        DataError: The file is missing, unreadable, truncated, too large or of an unknown colour space.
    """
    with _opened(path) as image:
        upright = _upright(image)
        if upright.mode.startswith(("I", "F")):
            grey = _eight_bits(np.asarray(upright), path)
            return np.repeat(grey[:, :, None], 3, axis=2)
        return _rgb(upright)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read a lesion mask; True is lesion.

    - One level: zero is an empty mask, anything else a full one.
    - Two levels (0/255, 0/1, or black and any colour): the lighter one is lesion.
    - More levels, as JPEG or a smooth resize leave them: cut at the middle of their range, provided at
      most `MAX_MIDDLE_GREY` of the pixels lie in the middle half of that range and the range spans at
      least `MIN_CONTRAST` levels. Otherwise the file is a photograph or a map of several classes.

    Args:
        path: A file of any format in `IMAGE_SUFFIXES`. Transparency is ignored.

    Returns:
        Array (height, width), bool.

    Raises:
        DataError: The file cannot be read, or is not a mask.
    """
    with _opened(path) as image:
        upright = _upright(image)
        single = upright.mode == "1" or upright.mode.startswith(("L", "I", "F"))
        # A 16-bit mask may hold 0 and 1, so greys are not scaled to 8 bits here.
        values = (
            np.asarray(upright.convert("L") if upright.mode in {"LA", "La"} else upright) if single else None
        )
        grey: NDArray[Any] = _rgb(upright).max(axis=2) if values is None else values
    low, high = float(grey.min()), float(grey.max())
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
    with _opened(path) as image:
        # Pillow turns the size of a TIFF itself. It searches a whole PNG for EXIF that may follow the pixels;
        # EXIF that comes first is in `info`.
        searched = image.format != "TIFF" and (image.format != "PNG" or "exif" in image.info)
        sideways = searched and _orientation(image) in _SIDEWAYS
        width, height = image.size
    return (width, height) if sideways else (height, width)


def resize_image(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Squash an image to a square, bilinearly and with antialiasing.

    The cache that training reads and the predictor both call this function, so a model sees the same
    pixels in both. It agrees with torchvision's `resize(..., antialias=True)` to one grey level.

    Args:
        image: Array (height, width, 3), uint8.
        size: Side of the result in pixels.

    Returns:
        Array (size, size, 3), uint8.
    """
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))


def resize_mask(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Squash a mask (height, width) to (size, size) by nearest neighbour, so that it stays binary."""
    levels = Image.fromarray(mask.astype(np.uint8))
    return np.asarray(levels.resize((size, size), Image.Resampling.NEAREST)).astype(bool)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image file; turn everything that goes wrong until the block ends into a DataError."""
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder; give the path of an image file.")
        if not path.exists():
            raise DataError(f"{path} does not exist (or is a broken link); check the path.")
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty (0 bytes); fetch or export the file again.")
        with warnings.catch_warnings():
            # Pillow warns from half the size on.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(path, formats=_formats())
        with opened as image:
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            yield image
    except (DataError, MemoryError):
        raise
    except PermissionError as error:
        raise DataError(f"{path} may not be read by this user; change its permissions.") from error
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{path} is too large: more than {MAX_PIXELS // 1_000_000} megapixels; make it smaller first."
        ) from error
    except UnidentifiedImageError as error:
        raise DataError(f"{path} is not an image of a known format; export it as PNG or JPEG.") from error
    except Exception as error:
        # Format parsers trip over hostile bytes with any exception there is (struct, zlib, index, ...).
        raise DataError(f"{path} cannot be read ({error}); fetch or export the file again.") from error


@cache
def _formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are opened; for some of the others it starts programs (EPS)."""
    names = {name for suffix, name in Image.registered_extensions().items() if suffix in IMAGE_SUFFIXES}
    return tuple(sorted(names))


def _upright(image: Image.Image) -> Image.Image:
    # Pillow turns a TIFF itself, while loading it.
    image.load()
    turn = _UPRIGHT.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        # Damaged metadata, which the parser meets with any exception, says nothing about the pixels.
        return 1


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode in {"P", "PA", "RGBa", "La"}:
        # Straight to RGB, Pillow would warn about transparent palettes and refuse premultiplied alpha.
        image = image.convert("RGBA") if image.mode != "La" else image.convert("LA")
    return np.asarray(image.convert("RGB"))


def _eight_bits(values: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """Scale grey values of 16 bits, or floating-point ones in [0, 1], to 8 bits."""
    full = 1.0 if values.dtype.kind == "f" else 65535.0
    if not (values.min() >= 0 and values.max() <= full):
        raise DataError(
            f"{path} holds values from {values.min():g} to {values.max():g}, expected 0 to {full:g}; "
            "export it as an 8-bit or 16-bit image."
        )
    return np.round(values.astype(np.float32) * (255.0 / full)).astype(np.uint8)


def _check_almost_binary(grey: NDArray[Any], low: float, high: float, path: Path) -> None:
    quarter = (high - low) / 4
    middle = float(np.mean((grey > low + quarter) & (grey < high - quarter)))
    if middle > MAX_MIDDLE_GREY or high - low < MIN_CONTRAST:
        raise DataError(
            f"{path} is not a mask: {np.unique(grey).size} levels from {low:g} to {high:g}, "
            f"{middle:.0%} of the pixels in between; expected black (0) and white (255) only."
        )
