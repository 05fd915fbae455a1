"""A small network, and the file it was exported to."""

from pathlib import Path

import pytest
import torch

from dermseg.export.onnx import export_onnx
from dermseg.models.base import Preprocessing, SegmentationModel
from dermseg.models.registry import create_model


@pytest.fixture(scope="session")
def vm_unet() -> SegmentationModel:
    torch.manual_seed(0)
    model = create_model("vm_unet", width=8, depths=(1, 1, 1, 1), depths_decoder=(1, 1, 1, 1), state=4).eval()
    model.preprocessing = Preprocessing(size=32, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    model.threshold = 0.3
    return model


@pytest.fixture(scope="session")
def written(vm_unet: SegmentationModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    export_onnx(vm_unet, path, fixed_size=True)
    return path
