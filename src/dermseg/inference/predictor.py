"""A trained network applied to one image of any size."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dermseg.data.augment import normalize
from dermseg.data.geometry import place
from dermseg.data.images import resize_image
from dermseg.data.preprocessing.table import preprocess
from dermseg.devices import resolve_device
from dermseg.errors import CheckpointError, DataError
from dermseg.inference.mirrors import mean_of_mirrors
from dermseg.inference.segmentation import Segmentation
from dermseg.models.base import SegmentationModel, check_threshold


class Predictor:
    """Outlines lesions with one network; the same image gets the same result, whatever was outlined before.

    Several Python threads may share a predictor. With another number of PyTorch's threads, sums are added up
    in another order, and probabilities differ by rounding.

    The image comes into the square as the training images did, by the function that prepared them. The
    logits of that part are brought back to the image's own size bilinearly, and only then turned into
    probabilities and cut at the threshold, so that the outline is smooth at any size. What the square does
    not show (the ends of the long side, with the geometry `crop`) has probability 0.

    Args:
        model: Network with its `preprocessing` and `threshold`, as `dermseg.models.weights.load_model`
            returns it. It is moved to the device and put into evaluation mode.
        device: As `dermseg.devices.resolve_device` takes it.
        threshold: Probability from which a pixel counts as lesion; by default the network's own.
        tta: Test-time augmentation: average the logits of the image and its three mirror images. The outline
            is then the same for all four, and better on average, for four times the time. By default as the
            weights say: `SegmentationModel.mirrors`.

    Raises:
        ConfigError: The device is not there, or the threshold is not a probability.
    """

    def __init__(
        self,
        model: SegmentationModel,
        device: str | torch.device = "cpu",
        threshold: float | None = None,
        *,
        tta: bool | None = None,
    ) -> None:
        self.device = resolve_device(device)
        self.tta = model.mirrors if tta is None else tta
        self.model = model.to(self.device).eval()
        self.threshold = check_threshold(float(model.threshold if threshold is None else threshold))

    @torch.inference_mode()
    def predict(self, image: NDArray[np.uint8], source: str = "") -> Segmentation:
        """Outline the lesion in one image.

        Args:
            image: RGB image (height, width, 3), uint8, of any size.
            source: Where the image came from, kept in the result.

        Raises:
            DataError: The array is not an 8-bit RGB image.
            CheckpointError: The network answers with values that are not finite: its weights are broken.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
            raise DataError(
                f"{source or 'The image'} must be an array (height, width, 3) of uint8, "
                f"not {image.shape} of {image.dtype}; dermseg.data.images.read_image makes one."
            )
        height, width = image.shape[:2]
        logits = self._logits(self._prepare(image))
        if not torch.isfinite(logits).all():
            raise CheckpointError(
                f"{self.model.name} gives values that are not finite for {source or 'the image'}; "
                "its weights are broken: train again or take an earlier checkpoint."
            )
        probability = self._at_native_size(logits, height, width)
        mask = probability >= self.threshold
        estimate = self.model.expected_dice
        return Segmentation(
            probability=probability,
            mask=mask,
            source=source,
            model=self.model.name,
            threshold=self.threshold,
            expected_dice=None if estimate is None else estimate(probability, mask),
        )

    def _logits(self, batch: Tensor) -> Tensor:
        logits: Tensor = mean_of_mirrors(self.model, batch) if self.tta else self.model(batch)
        return logits

    def _at_native_size(self, logits: Tensor, height: int, width: int) -> NDArray[np.float32]:
        """Turn logits (1, 1, size, size) into probabilities (height, width): the way in, backwards."""
        preprocessing = self.model.preprocessing
        source, target = place(height, width, preprocessing.size, preprocessing.geometry)
        shown = logits[:, :, *target.slices]
        native = F.interpolate(shown, size=source[2:], mode="bilinear", align_corners=False)
        probability = np.zeros((height, width), np.float32)
        probability[source.slices] = native[0, 0].sigmoid_().cpu().numpy()
        return probability

    def _prepare(self, image: NDArray[np.uint8]) -> Tensor:
        """Make the batch (1, 3, size, size) that the network expects."""
        preprocessing = self.model.preprocessing
        resized = resize_image(image, preprocessing.size, preprocessing.geometry)
        small = preprocess(resized, preprocessing.steps)
        batch = torch.tensor(small, device=self.device).permute(2, 0, 1)[None]
        return normalize(batch, preprocessing.mean, preprocessing.std)
