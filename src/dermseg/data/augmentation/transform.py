"""The augmentation as one of torchvision's transforms, to stand among others in a pipeline."""

from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from typing_extensions import override

from dermseg.data.augmentation.settings import DEFAULT, Augmentation
from dermseg.data.augmentation.views import augment
from dermseg.errors import DataError


class RandomView(v2.Transform):  # type: ignore[misc] # torchvision has no types
    """The function `augment` for a `tv_tensors.Image` and the `tv_tensors.Mask`s beside it.

    Takes what torchvision transforms take: an image (3, H, W) or a batch (B, 3, H, W), alone or in any tuple,
    list or dictionary, whose other entries are passed on. Each image of a batch is changed by its own draw. A
    mask is (H, W), (N, H, W) or, for a batch, (B, N, H, W); the very first layer is the lesion.

    Args:
        augmentation: Ranges of the draws.
        generator: Source of the draws; by default PyTorch's global generator, as in torchvision.

    Raises:
        DataError: When called without exactly one uint8 image of three channels, or with a mask that does not
            fit it or is neither bool nor uint8.
    """

    def __init__(
        self, augmentation: Augmentation = DEFAULT, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.augmentation = augmentation
        self.generator = generator

    @override
    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Change the image and its masks together; `transform` hands them out."""
        image = _only_image(flat_inputs)
        images = image.as_subclass(Tensor).reshape(-1, *image.shape[-3:])
        masks = [item for item in flat_inputs if isinstance(item, tv_tensors.Mask)]
        layers = [_layers(mask, images) for mask in masks]
        without = images.new_zeros(len(images), 1, *images.shape[2:])
        views, moved = augment(
            images, torch.cat(layers, dim=1) if layers else without, self.generator, self.augmentation
        )
        results = {id(image): views.reshape(image.shape)}
        if layers:
            parts = torch.split(moved, [layer.shape[1] for layer in layers], dim=1)
            for mask, part in zip(masks, parts, strict=True):
                results[id(mask)] = part.reshape(mask.shape).to(mask.dtype)
        return {"results": results}

    @override
    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Return the view of an image or a mask; anything else stays as it is."""
        result = params["results"].get(id(inpt))
        return inpt if result is None else tv_tensors.wrap(result, like=inpt)


def _only_image(inputs: list[Any]) -> Tensor:
    images = [item for item in inputs if isinstance(item, tv_tensors.Image)]
    if len(images) != 1:
        raise DataError(
            f"RandomView got {len(images)} images, expected one tv_tensors.Image; "
            "put v2.ToImage() before it, and images of a batch into one tensor (B, 3, H, W)"
        )
    image: Tensor = images[0]
    if image.dtype != torch.uint8 or image.ndim not in (3, 4) or image.shape[-3] != 3:
        raise DataError(
            f"RandomView got an image {tuple(image.shape)} of {image.dtype}, expected uint8 (3, H, W) or "
            "(B, 3, H, W); convert to floating point after it"
        )
    return image


def _layers(mask: Tensor, images: Tensor) -> Tensor:
    """Return a mask as uint8 (B, N, H, W)."""
    count, size = len(images), images.shape[2:]
    plain = mask.as_subclass(Tensor)
    one, batch = mask.ndim < 4 and count == 1, mask.ndim == 4 and len(mask) == count
    fits = mask.shape[-2:] == size and (one or batch)
    if not fits or mask.dtype not in (torch.bool, torch.uint8):
        raise DataError(
            f"RandomView got a mask {tuple(mask.shape)} of {mask.dtype} beside {count} images of "
            f"{tuple(size)}, expected bool or uint8 (H, W), (N, H, W) or, for a batch, (B, N, H, W)"
        )
    return plain.reshape(count, -1, *size).to(torch.uint8)
