"""A network that takes dark pixels for lesion, and images on which its answer is known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from dermseg.models import registry
from dermseg.models.base import Preprocessing, SegmentationModel
from dermseg.models.registry import ModelInfo, create_model
from dermseg.models.weights import save_model

SKIN, PIGMENT = (220, 180, 160), (60, 40, 30)


class DarkPixels(SegmentationModel):
    """Logits rise as pixels darken; middle grey has logit 0."""

    def __init__(self) -> None:
        super().__init__()
        self.steepness = nn.Parameter(torch.tensor(10.0))
        self.preprocessing = Preprocessing(size=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

    def forward_padded(self, images):
        return -self.steepness * images.mean(dim=1, keepdim=True)


def dark_model():
    model = DarkPixels()
    model.name = "dark_pixels"
    return model


def save_dark_model(path: Path, monkeypatch: pytest.MonkeyPatch, notes=None, threshold=0.5) -> Path:
    info = ModelInfo("Fake", 2026, "fake", "", "", "", 1)
    monkeypatch.setitem(registry._entries, "dark_pixels", registry._Entry(DarkPixels, {}, info))
    save_model(create_model("dark_pixels"), path, threshold=threshold, notes=notes)
    return path


def disc(height, width, radius=None, centre=None):
    """Mask of a disc, by default in the middle."""
    y, x = np.mgrid[:height, :width]
    cy, cx = centre or (height / 2, width / 2)
    return np.hypot(y - cy, x - cx) < (radius or min(height, width) / 4)


def lesion_image(mask):
    """RGB image with pigment where the mask is."""
    return np.where(mask[:, :, None], np.uint8(PIGMENT), np.uint8(SKIN))


def write_lesion(path: Path, mask=None, **options) -> Path:
    mask = disc(48, 64) if mask is None else mask
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(lesion_image(mask)).save(path, **options)
    return path
