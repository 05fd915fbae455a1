from typing import Any, ClassVar

import pytest
import torch
from parity import ParityTester
from tester import ModelTester

from dermseg.errors import ConfigError
from dermseg.models.registry import create_model


class TestUltraLightVMUNet(ModelTester):
    name = "ultralight_vm_unet"
    arguments: ClassVar[dict[str, Any]] = {"widths": (8, 8, 8, 16, 16, 16)}
    drop_path = False


class TestUltraLightVMUNetParity(ParityTester):
    name = "ultralight_vm_unet"
    recording = "ultralight_vm_unet"
    taps: ClassVar = {"final": "unet.head"}
    sigmoid_inside = True


def test_step_sizes_begin_as_released_without_bias():
    model = create_model("ultralight_vm_unet")
    biases = [value for key, value in model.named_parameters() if key.endswith("step_proj.bias")]
    assert len(biases) == 6
    assert not torch.cat(biases).any()


@pytest.mark.parametrize("widths", [(8, 16, 24), (8, 16, 24, 32, 48, 66), (0, 16, 24, 32, 48, 64)])
def test_impossible_widths_are_refused_by_name(widths):
    with pytest.raises(ConfigError, match="widths"):
        create_model("ultralight_vm_unet", widths=widths)


@torch.no_grad()
def test_the_narrowest_network_takes_one_small_image():
    model = create_model("ultralight_vm_unet", widths=(4,) * 6).eval()
    assert model(torch.randn(1, 3, 16, 16)).isfinite().all()
