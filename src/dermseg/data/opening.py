"""Opening image files, hostile ones included: one kind of error, a limit on size, upright pixels."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from dermseg.errors import DataError

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm"}
    | {".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"}
)
"""Lower-case endings of the files taken for images; files are opened if they have one of these formats."""

UNREAD_SUFFIXES = frozenset({".dcm", ".dicom", ".heic", ".heif"})
"""Lower-case endings of pictures that are not read: DICOM, and what phones write."""

MAX_PIXELS = 178_956_970
"""Larger images are refused (Pillow's own limit): a tiny file can unpack to more memory than there is."""

_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0
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


@contextmanager
def opened(path: Path) -> Iterator[Image.Image]:
    """Open an image file; turn everything that goes wrong until the block ends into a DataError.

    Lack of memory is passed on as it is: the file is not to blame.

    Args:
        path: A file of any format in `IMAGE_SUFFIXES`, whatever its name.

    Raises:
        DataError: The file is missing, unreadable, damaged, too large, of another format or a TIFF whose
            values are not certain; the message names it and says what to do.
    """
    try:
        if path.is_dir():
            raise DataError(f"{path} is a folder; give the path of an image file.")
        if not path.exists():
            raise DataError(f"{path} does not exist (or is a broken link); check the path.")
        # Pipes and devices, which might never end, have no size either.
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty (0 bytes); fetch or export the file again.")
        with warnings.catch_warnings():
            # Pillow warns from half the size on, and of damage, with a line of its own code.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            with Image.open(path, formats=_formats()) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                if tiff_tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO and image.mode not in {"1", "L"}:
                    # Pillow turns greys of 8 bits and less over, and these not.
                    raise DataError(
                        f"{path} is a TIFF of more than 8 bits in which 0 is white; export it as PNG, or "
                        "with 0 for black."
                    )
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


def tiff_tag(image: Image.Image, number: int) -> object:
    """Return the value of a tag of an opened TIFF; None where there is none, or of another format."""
    value: object = getattr(image, "tag_v2", {}).get(number)
    return value


def upright(image: Image.Image) -> Image.Image:
    """Decode an opened image and turn it upright by its EXIF orientation."""
    # Pillow turns a TIFF itself, while loading it.
    image.load()
    turn = _UPRIGHT.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return (height, width) that an opened image has when it is upright, without decoding pixels."""
    # Pillow turns the size of a TIFF itself. It searches a whole PNG for EXIF that may follow the pixels;
    # EXIF that comes first is in `info`.
    searched = image.format != "TIFF" and (image.format != "PNG" or "exif" in image.info)
    sideways = searched and _orientation(image) in _SIDEWAYS
    return (image.width, image.height) if sideways else (image.height, image.width)


@cache
def _formats() -> tuple[str, ...]:
    """Pillow's names of the formats that are opened; for some of the others it starts programs (EPS)."""
    names = {name for suffix, name in Image.registered_extensions().items() if suffix in IMAGE_SUFFIXES}
    return tuple(sorted(names))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        # Damaged metadata, which the parser meets with any exception, says nothing about the pixels.
        return 1
