"""Files and measurements of one segmentation."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from scipy import ndimage

from dermseg.evaluation.metrics import bounding_box
from dermseg.figures import MADE_BY, draw_outline
from dermseg.files import replacing
from dermseg.inference.segmentation import Segmentation

_JPEG_SIDE = 65_500
"""JPEG cannot hold a longer side."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of whole pixels; `left` and `top` count from 0."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Measurements:
    """What can be read off a segmentation, in pixels of the image's own size."""

    width: int
    """Width of the image."""
    height: int
    """Height of the image."""
    area: int
    """Pixels of lesion."""
    area_share: float
    """Lesion as a share of the image, 0 to 1."""
    box: Box | None
    """Smallest rectangle around all lesion pixels; None without a lesion."""
    components: int
    """Separate lesion areas; areas that touch at a corner are one."""
    mean_probability: float | None
    """Mean probability inside the lesion; None without one."""


@dataclass(frozen=True, slots=True)
class OutputFiles:
    """Where the pictures of one segmentation are."""

    mask: Path
    probability: Path
    overlay: Path


def measure(segmentation: Segmentation) -> Measurements:
    """Measure the lesion of a segmentation."""
    mask = segmentation.mask
    height, width = mask.shape
    area = int(np.count_nonzero(mask))
    if area == 0:
        return Measurements(width, height, 0, 0.0, None, 0, None)
    box = bounding_box(mask)
    rows, columns = box
    _, components = ndimage.label(mask[box], structure=np.ones((3, 3)))
    return Measurements(
        width=width,
        height=height,
        area=area,
        area_share=area / mask.size,
        box=Box(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start),
        components=int(components),
        mean_probability=float(segmentation.probability[mask].mean(dtype=np.float64)),
    )


def output_files(folder: Path, name: str) -> OutputFiles:
    """Name the files of one segmentation: NAME_mask.png, NAME_probability.png, NAME_overlay.jpg."""
    return OutputFiles(
        mask=folder / f"{name}_mask.png",
        probability=folder / f"{name}_probability.png",
        overlay=folder / f"{name}_overlay.jpg",
    )


def write_outputs(segmentation: Segmentation, image: NDArray[np.uint8], files: OutputFiles) -> None:
    """Write mask, probability map and overlay, each completely or not at all.

    Args:
        segmentation: What was found in the image.
        image: The image (height, width, 3), uint8.
        files: Destinations; files there are replaced.
    """
    write_mask(segmentation.mask, files.mask)
    write_probability(segmentation.probability, files.probability)
    write_overlay(segmentation, image, files.overlay)


def write_mask(mask: NDArray[np.bool_], path: Path) -> None:
    """Write a mask (height, width) as 8-bit grey PNG: 255 is lesion, 0 is not."""
    _save_png(mask.astype(np.uint8) * 255, path)


def write_probability(probability: NDArray[np.float32], path: Path) -> None:
    """Write a probability map (height, width) as 8-bit grey PNG: probability times 255, rounded.

    Eight bits open everywhere and are finer than any network is calibrated. Levels from 128 are exactly
    the pixels with a probability of at least 0.5.
    """
    _save_png(np.rint(probability * np.float32(255)).astype(np.uint8), path)


def write_overlay(segmentation: Segmentation, image: NDArray[np.uint8], path: Path) -> None:
    """Write the image with the outline of the lesion as JPEG, at the image's own size.

    An image with a side longer than a JPEG can hold is shrunk to fit.
    """
    picture = Image.fromarray(draw_outline(image, segmentation.mask))
    picture.thumbnail((_JPEG_SIDE, _JPEG_SIDE))
    encoded = io.BytesIO()
    # Full chroma resolution: JPEG's usual half would smear a thin coloured line.
    picture.save(encoded, "JPEG", quality=92, subsampling=0, comment=MADE_BY)
    with replacing(path) as temporary:
        # Into a file of its own Pillow would take what a full disk has room for as the whole.
        temporary.write_bytes(encoded.getvalue())


def is_output(path: Path) -> bool:
    """Tell whether a file is a picture that this package wrote, by the mark in its header."""
    if not path.is_file():  # a pipe would be waited for
        return False
    try:
        with warnings.catch_warnings():
            # Pillow warns of large images; whether one is too large is for the reader to say.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                mark = image.info.get("Software") or image.info.get("comment")
    except Exception:
        # Whatever is wrong with the file, it is not one of ours; reading it as an input will say more.
        return False
    return mark in (MADE_BY, MADE_BY.encode())


def _save_png(levels: NDArray[np.uint8], path: Path) -> None:
    mark = PngInfo()
    mark.add_text("Software", MADE_BY)
    with replacing(path) as temporary:
        Image.fromarray(levels).save(temporary, pnginfo=mark)
