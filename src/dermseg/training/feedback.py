"""FANet's memory between epochs: the mask that each training image is shown together with its pixels.

Tomar et al., "FANet: A Feedback Attention Network for Improved Biomedical Image Segmentation", arXiv
2103.17235. An image starts with Otsu's mask; what the network predicts in an epoch takes its place only if
the network has become better on the validation images.

Masks are kept in the frame of the image before augmentation: the caller moves them together with the image,
and replaces them by what it predicted on the image as it is. The release keeps what it predicted on the
augmented image and pairs it with another augmentation of it in the next epoch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dermseg.errors import CheckpointError, DataError


class MaskStore:
    """One mask per training image, kept as packed bits: 8 KiB each at 256 x 256.

    Args:
        first: Makes the masks (B, 1, H, W), 0 or 1, of the images of these identifiers; asked for images that
            have no predicted mask yet. FANet's are those of its `first_masks`.
    """

    def __init__(self, first: Callable[[Sequence[str]], Tensor]) -> None:
        self._first = first
        self._shape: tuple[int, int] | None = None
        self._predicted: dict[str, np.ndarray] = {}

    def get(self, identifiers: Sequence[str]) -> Tensor:
        """Return the masks to show with these images: uint8 (B, 1, H, W), 0 or 1, on the CPU."""
        unknown = [identifier for identifier in identifiers if identifier not in self._predicted]
        masks: dict[str, Tensor] = {}
        if unknown:
            masks.update(zip(unknown, self._first(unknown).to("cpu", torch.uint8), strict=True))
        kept = (identifier for identifier in identifiers if identifier in self._predicted)
        masks.update((identifier, self._unpacked(self._predicted[identifier])) for identifier in kept)
        return torch.stack([masks[identifier] for identifier in identifiers])

    def replace(self, identifiers: Sequence[str], masks: Tensor) -> None:
        """Let predicted masks (B, 1, H, W), 0 or 1, take the place of those shown so far.

        Raises:
            DataError: If the shape is not (B, 1, H, W), or H and W differ from those of earlier masks.
        """
        shape = (masks.shape[-2], masks.shape[-1]) if masks.ndim == 4 else (0, 0)
        wanted = (len(identifiers), 1, *(self._shape or shape))
        if masks.ndim != 4 or tuple(masks.shape) != wanted:
            raise DataError(
                f"masks must have shape {wanted}, got {tuple(masks.shape)}; "
                "give those of the images before any resizing"
            )
        self._shape = shape
        bits = np.packbits(masks.detach().cpu().numpy().astype(bool).reshape(len(masks), -1), axis=1)
        self._predicted.update(zip(identifiers, bits, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Return the predicted masks as tensors and plain values."""
        bits = np.array(list(self._predicted.values()), np.uint8)
        return {
            "identifiers": list(self._predicted),
            "shape": list(self._shape or ()),
            "bits": torch.from_numpy(bits),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the predicted masks of another store.

        Raises:
            CheckpointError: If the state does not hold what `state_dict` gives.
        """
        try:
            identifiers, bits = list(state["identifiers"]), state["bits"].cpu().numpy()
            shape = tuple(int(side) for side in state["shape"])
            masks = dict(zip(identifiers, bits, strict=True))
            fits = not masks or bits.shape == (len(masks), -(-shape[0] * shape[1] // 8))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            fits = False
        if not fits:
            raise CheckpointError(
                "the checkpoint's mask store is damaged; resume from another checkpoint or start anew"
            )
        self._shape = (shape[0], shape[1]) if masks else None
        self._predicted = masks

    def _unpacked(self, bits: np.ndarray) -> Tensor:
        assert self._shape is not None  # set with the first mask
        height, width = self._shape
        return torch.from_numpy(np.unpackbits(bits, count=height * width).reshape(1, height, width))
