"""The operators of `operators.Operators` on a CPU: what `device` does, compiled."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image

from dermseg.data.augmentation.draws import FloatArray
from dermseg.data.augmentation.frame import Frame
from dermseg.data.augmentation.geometry import middles, spline
from dermseg.data.augmentation.kernels import colours, layers, sampling
from dermseg.data.augmentation.light import Light, Opening, step_of_mean
from dermseg.data.augmentation.operators import ByteArray


def sample(
    images: ByteArray, masks: ByteArray, points: FloatArray, views: ByteArray, moved: ByteArray
) -> None:
    """Sample images bilinearly, and masks at the nearest pixel."""
    height, width = images.shape[2:]
    sampling.sample(images, masks, points, spline(height), _spline_by_point(width), views, moved)


@lru_cache(maxsize=8)
def _spline_by_point(side: int) -> FloatArray:
    return np.ascontiguousarray(spline(side).T)


def recolour(images: ByteArray, light: Light) -> None:
    """Change colours by a matrix and a pull, then the light, then the curve."""
    colours.recolour(images, *light, step_of_mean(*images.shape[2:]))


def lay(image: ByteArray, opacity: ByteArray, colour: ByteArray) -> None:
    """Lay a drawing over an image."""
    layers.lay(image, opacity, colour)


def add(image: ByteArray, values: FloatArray, scale: float) -> None:
    """Add to an image and cut off what leaves the range."""
    layers.add(image, values, scale)


def darken(image: ByteArray, lesion: ByteArray, opening: Opening) -> None:
    """Show an image through an opening."""
    y, x = (middles(side) for side in lesion.shape)
    down = ((y - opening.y) / opening.stretch / 2) ** 2
    across = ((x - opening.x) * opening.stretch / 2) ** 2
    colours.darken(image, lesion, down, across, opening.radius, opening.softness, opening.rest)


def blur(image: ByteArray, down: FloatArray, across: FloatArray) -> None:
    """Convolve an image along y and along x."""
    plane = np.empty(image.shape[1:], np.uint8)
    line = np.empty(image.shape[2] + len(across) - 1, np.float32)
    layers.blur(image, down, across, plane, line)


def compress(image: ByteArray, quality: int) -> None:
    """Compress an image as JPEG and read it again."""
    # By Pillow, since torchvision is giving its encoders up.
    file = io.BytesIO()
    Image.merge("RGB", [Image.fromarray(plane) for plane in image]).save(file, "JPEG", quality=quality)
    for plane, band in zip(image, Image.open(file).split(), strict=True):
        plane[:] = np.asarray(band)


def set_into(image: ByteArray, masks: ByteArray, frame: Frame) -> None:
    """Set an image into a wider frame."""
    rows, columns = frame.shrunk(*masks.shape[1:])
    small_masks = masks[:, rows[:, None], columns]
    masks[:] = 0
    masks[:, frame.rows, frame.columns] = small_masks
    for channel, plane in enumerate(image):
        small = Image.fromarray(plane).resize((len(columns), len(rows)), Image.Resampling.BILINEAR)
        if frame.colour is not None:
            plane[:] = frame.colour[channel]
        plane[frame.rows, frame.columns] = np.asarray(small)
    if frame.colour is None:
        rows, columns = frame.repeated(*masks.shape[1:])
        image[:] = image[:, rows[:, None], columns]
