"""The operators that make views. Two modules have them all: `cpu` compiled, `device` in PyTorch.

They agree to one grey level, and write where they are told to, since memory is most of what they cost.
"""

from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dermseg.data.augmentation.draws import FloatArray
from dermseg.data.augmentation.frame import Frame
from dermseg.data.augmentation.light import Light, Opening

ByteArray = NDArray[np.uint8]

Picture = TypeVar("Picture", ByteArray, Tensor)
"""Images uint8 (B, 3, H, W), one of them (3, H, W), or masks uint8 (B, any, H, W), which are on the CPU for
one module and on a device for the other. What chance has drawn is always on the CPU."""
Picture_contra = TypeVar("Picture_contra", ByteArray, Tensor, contravariant=True)
"""The same, as a protocol must name it."""


class Operators(Protocol[Picture_contra]):
    """What is done to images and masks."""

    def sample(
        self,
        images: Picture_contra,
        masks: Picture_contra,
        points: FloatArray,
        views: Picture_contra,
        moved: Picture_contra,
    ) -> None:
        """Sample images bilinearly, and masks at the nearest pixel.

        Args:
            images: Left as they are.
            masks: Left as they are.
            points: Control points (B, 2, POINTS, POINTS), as `geometry.control_points` places them.
            views: Receives the images.
            moved: Receives the masks.
        """

    def recolour(self, images: Picture_contra, light: Light) -> None:
        """Change the colours of images, in place, by the equation at `Light`."""

    def lay(self, image: Picture_contra, opacity: ByteArray, colour: ByteArray) -> None:
        """Lay a drawing of one colour (3,) over one image, in place, by its opacity (H, W)."""

    def add(self, image: Picture_contra, values: FloatArray, scale: float) -> None:
        """Add to one image, in place, and cut off what leaves the range.

        Args:
            image: The image.
            values: (3, H, W), or (1, H, W) for all channels.
            scale: Grey levels of a value of 1.
        """

    def darken(self, image: Picture_contra, lesion: Picture_contra, opening: Opening) -> None:
        """Show one image through an opening, in place.

        Args:
            image: The image.
            lesion: (H, W), not 0 where the opening's edge must not be.
            opening: Widened as far as the lesion needs it.
        """

    def blur(self, image: Picture_contra, down: FloatArray, across: FloatArray) -> None:
        """Convolve one image, mirrored at its edges, along both axes, in place.

        Args:
            image: The image.
            down: Weights along y: an odd number, at most 2 H - 1, of sum 1.
            across: Weights along x, at most 2 W - 1.
        """

    def compress(self, image: Picture_contra, quality: int) -> None:
        """Compress one image as JPEG and read it again, in place."""

    def set_into(self, image: Picture_contra, masks: Picture_contra, frame: Frame) -> None:
        """Set one image into a wider frame of the same size, in place.

        Args:
            image: The image.
            masks: (any, H, W), set with it; the frame is 0 there.
            frame: Where the image goes, and what lies around it.
        """
