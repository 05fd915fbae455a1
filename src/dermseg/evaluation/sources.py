"""Where the masks to be scored come from: a network, or a folder of files."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dermseg.data.images import read_image, read_mask
from dermseg.data.opening import IMAGE_SUFFIXES
from dermseg.data.pairs import Pair, identifier_of, listing
from dermseg.data.readers import MASK_ENDINGS
from dermseg.devices import resolve_device
from dermseg.errors import DataError
from dermseg.evaluation.leakage import read_learned
from dermseg.files import sha256_of
from dermseg.inference.predictor import Predictor
from dermseg.models.weights import load_model
from dermseg.weights import weight_file


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a source says of one image, at the image's own size."""

    mask: NDArray[np.bool_]
    """Predicted mask (height, width)."""
    probability: NDArray[np.float32] | None
    """Probability of lesion (height, width), or None if the source has masks alone."""


class MaskSource(Protocol):
    """Gives the predicted mask of an image."""

    provenance: dict[str, Any]
    """What identifies the source in a summary."""

    def predict(self, pair: Pair) -> Prediction:
        """Give the prediction for the image of a pair, or raise a DataError."""
        ...


class NetworkSource:
    """Predicts every image with one network.

    Args:
        weights: Weight file, or the name of weights that ship.
        device: `cpu`, `cuda`, `mps`, or `auto`.
        tta: Average the image and its mirror images; by default as the weights say.
    """

    def __init__(self, weights: Path, device: str, *, tta: bool | None = None) -> None:
        on = resolve_device(device)  # before the weights, which take a while to load
        file = weight_file(weights)
        self.predictor = Predictor(load_model(file), on, tta=tta)
        model = self.predictor.model
        self.learned_from = read_learned(file)
        self.provenance: dict[str, Any] = {
            "model": {
                "name": model.name,
                "file": str(weights),
                "sha256": sha256_of(file),
                "size": model.preprocessing.size,
                "geometry": model.preprocessing.geometry,
                "threshold": self.predictor.threshold,
            }
            | ({"tta": True} if self.predictor.tta else {})
        }

    def predict(self, pair: Pair) -> Prediction:
        """Predict the image of a pair."""
        return predicted(self.predictor, pair)


def predicted(predictor: Predictor, pair: Pair) -> Prediction:
    """Predict the image of a pair.

    Raises:
        DataError: The image cannot be read.
        CheckpointError: The network is broken.
    """
    found = predictor.predict(read_image(pair.image), str(pair.image))
    return Prediction(found.mask, found.probability)


class FolderSource:
    """Reads predicted masks from a folder, matched by identifier.

    The name of a mask is the identifier, alone or with one of `dermseg.data.readers.MASK_ENDINGS`, as
    `dermseg predict` writes them. Other files in the folder do not matter.

    Args:
        folder: Folder of the masks; its sub-folders are not searched.

    Raises:
        DataError: The folder is missing, or holds no image file.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder; give the folder of the predicted masks.")
        self.folder = folder
        self.provenance: dict[str, Any] = {"predictions": str(folder)}
        self._files: dict[str, list[Path]] = defaultdict(list)
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
                # An identifier may itself end like a mask, so a file answers to both names.
                for identifier in {identifier_of(path), identifier_of(path, MASK_ENDINGS)}:
                    self._files[identifier].append(path)
        if not self._files:
            raise DataError(f"{folder} holds no image file; give the folder of the predicted masks.")

    def predict(self, pair: Pair) -> Prediction:
        """Read the predicted mask of a pair."""
        files = self._files.get(pair.identifier, [])
        if len(files) != 1:
            found = listing([path.name for path in files]) or "none"
            raise DataError(
                f"{pair.image} needs exactly one predicted mask named {pair.identifier} in {self.folder}; "
                f"found: {found}."
            )
        return Prediction(read_mask(files[0]), None)
