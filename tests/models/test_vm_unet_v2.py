from typing import Any, ClassVar

import pytest
import torch
from parity import ParityTester
from tester import ModelTester

from dermseg.models.base import SegmentationModel

SMALL = {"width": 16, "depths": (1, 1, 1, 1), "channels": 8, "state": 4}


class InfusionTester(ModelTester):
    def create(self, **overrides: Any) -> SegmentationModel:
        """Make the convolutions louder: a product of four maps near 0 hardly depends on the image."""
        model = super().create(**overrides)
        with torch.no_grad():
            for infusion in model.infusions:
                for conv in infusion.convs:
                    conv.weight *= 4
        return model


class TestVMUNetV2(InfusionTester):
    name = "vm_unet_v2"
    arguments: ClassVar[dict[str, Any]] = SMALL


class TestVMUNetV2OneHead(InfusionTester):
    name = "vm_unet_v2_nods"
    arguments: ClassVar[dict[str, Any]] = SMALL


@pytest.mark.parity
class TestVMUNetV2Parity(ParityTester):
    name = "vm_unet_v2"
    recording = "vm_unet_v2"
    taps: ClassVar = {
        **{f"trans{level + 1}": f"narrow.{level}" for level in range(4)},
        **{f"sdi{level + 1}": f"infusions.{level}" for level in range(4)},
        "seg2": "coarse_head",
        "seg3": "head",
        "deconv6": "coarse_up",
    }
    tap_precision = 5e-4  # the heads' logits are nearly constant
    sigmoid_inside = True
    atol = 1e-6


@pytest.mark.parity
class TestVMUNetV2OneHeadParity(ParityTester):
    name = "vm_unet_v2_nods"
    recording = "vm_unet_v2_nods"
    sigmoid_inside = True
    atol = 1e-6
