"""The contract of every network: images of any size in, logits of the same size out."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.data.geometry import LARGEST_SIDE, Geometry, check_geometry
from dermseg.data.preprocessing.table import check_steps
from dermseg.errors import ConfigError
from dermseg.models.expected_dice import ExpectedDice
from dermseg.models.release import Release

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def check_threshold(threshold: float) -> float:
    """Return a threshold on probabilities as it was given.

    Raises:
        ConfigError: If it is no number between 0 and 1; at 0 or 1 themselves nothing would be decided.
    """
    if not isinstance(threshold, (int, float)) or not 0 < threshold < 1:
        raise ConfigError(f"threshold must be a number between 0 and 1, got {threshold!r}")
    return threshold


@dataclass(frozen=True)
class Preprocessing:
    """How an image is brought to a network: into a square, cleaned, scaled to 0..1, then standardised."""

    size: int = 256
    """Side of the square, in pixels."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Mean per channel (red, green, blue) of values in 0..1, subtracted."""
    std: tuple[float, float, float] = IMAGENET_STD
    """Standard deviation per channel, divided by."""
    geometry: Geometry = "squash"
    """How the image comes into the square; see `dermseg.data.geometry`."""
    steps: tuple[str, ...] = ()
    """What is done to the image there; names in `dermseg.data.preprocessing.table`."""

    def __post_init__(self) -> None:
        check_geometry(self.geometry)
        check_steps(self.steps)
        if type(self.size) is not int or not 1 <= self.size <= LARGEST_SIDE:
            raise ConfigError(
                f"preprocessing size must be a whole number from 1 to {LARGEST_SIDE}, got {self.size}"
            )
        numbers = all(
            isinstance(value, (int, float)) and math.isfinite(value) for value in (*self.mean, *self.std)
        )
        if not numbers or len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ConfigError(f"preprocessing needs 3 means and 3 positive stds, got {self.mean}, {self.std}")


class Outputs(NamedTuple):
    """What a network gives to its own training loss."""

    logits: Tensor
    """The prediction (B, 1, H, W)."""
    auxiliary: tuple[Tensor, ...] = ()
    """Logits (B, 1, H, W) of further heads, which only training looks at; most networks have none."""


class SegmentationModel(nn.Module, ABC):
    """A network that maps images (B, 3, H, W) to logits (B, 1, H, W), for any H and W of at least one pixel.

    A network computes on maps whose sides are multiples of its stride. This class pads the image on the right
    and at the bottom by repeating its last column and row, and crops the logits back. Repeating works for
    images smaller than the padding, where a reflection is undefined, and brings in no dark frame.

    Subclasses implement `forward_padded` and set the attributes below.
    """

    name: str = ""
    """Name in the registry; set by `create_model`."""
    arguments: dict[str, Any]
    """Constructor arguments as given to `create_model`, so that a weight file can rebuild the network."""
    preprocessing: Preprocessing
    threshold: float = 0.5
    """Probability from which a pixel is lesion; chosen on validation images, kept with the weights."""
    expected_dice: ExpectedDice | None = None
    """Estimates how good an outline is; fitted on validation images, kept with the weights."""
    mirrors: bool = False
    """Whether prediction averages an image and its mirror images unless told otherwise; kept with the
    weights."""
    stride: int = 32
    """Sides of the padded image are multiples of this."""
    passes: int = 1
    """Passes that `forward` makes over an image in evaluation mode."""
    batch_independent: bool = True
    """Whether an image gets the same logits alone and in any batch."""
    compiles: bool = True
    """Whether `torch.compile` traces the network to one graph."""
    exports_to_onnx: bool = True
    """Whether `dermseg export` can write the network."""
    exports_any_size: bool = True
    """Whether an exported file takes any batch and size; otherwise one image of the network's size."""
    release: ClassVar[Release | None] = None
    """How the authors named the parameters of the release that this network equals."""

    def __init__(self) -> None:
        super().__init__()
        self.arguments = {}
        self.preprocessing = Preprocessing()

    @abstractmethod
    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of `stride`, to logits (B, 1, H, W)."""

    def outputs_padded(self, images: Tensor) -> Outputs:
        """Map images, sides multiples of `stride`, to all outputs; overridden where heads are several."""
        return Outputs(self.forward_padded(images))

    def forward(self, images: Tensor) -> Tensor:
        """Segment standardised images.

        Args:
            images: Float tensor (B, 3, H, W), standardised as `preprocessing` says.

        Returns:
            Logits (B, 1, H, W); `sigmoid` makes them probabilities.

        Raises:
            ConfigError: If the shape is not (B, 3, H, W) with B, H, W >= 1, or the type is not a float.
        """
        padded = self._padded(images)
        height, width = images.shape[2:]
        return self.forward_padded(padded)[:, :, :height, :width]

    def outputs(self, images: Tensor) -> Outputs:
        """Compute what the network's own training loss looks at.

        Args:
            images: As `forward` takes them.

        Returns:
            The logits of `forward` and those of every further head.

        Raises:
            ConfigError: As `forward`.
            ValueError: In training mode, from a normalisation that has a single value per channel: one image
                whose coarsest map is one pixel. Train with two images or larger ones.
        """
        logits, auxiliary = self.outputs_padded(self._padded(images))
        height, width = images.shape[2:]
        return Outputs(logits[:, :, :height, :width], tuple(x[:, :, :height, :width] for x in auxiliary))

    def _padded(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
            raise ConfigError(
                f"images must have shape (B, 3, H, W) with B, H, W >= 1, got {tuple(images.shape)}"
            )
        if not images.is_floating_point():
            raise ConfigError(
                f"images must be floats standardised as model.preprocessing says, got {images.dtype}"
            )
        return repeat_border(images, self.stride)


def repeat_border(images: Tensor, stride: int) -> Tensor:
    """Pad (B, C, H, W), floats, to sides that are multiples of a stride: the last column and row repeat."""
    if torch.compiler.is_exporting():
        return _repeated(_repeated(images, 2, stride), 3, stride)
    height, width = images.shape[2:]
    below, right = -height % stride, -width % stride
    return F.pad(images, (0, right, 0, below), mode="replicate") if below or right else images


def _repeated(images: Tensor, axis: int, stride: int) -> Tensor:
    """Pad one axis as `F.pad` does, in a form that holds for any size: an export can leave it open."""
    size = images.shape[axis]
    blocks = (size + stride - 1) // stride
    return images.index_select(axis, torch.arange(blocks * stride, device=images.device).clamp(max=size - 1))
