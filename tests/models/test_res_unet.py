from typing import Any, ClassVar

import pytest
from parity import ParityTester
from tester import ModelTester

from dermseg.errors import ConfigError
from dermseg.models.registry import create_model


class TestResUNet(ModelTester):
    name = "res_unet"
    arguments: ClassVar[dict[str, Any]] = {"width": 4}
    drop_path = False


@pytest.mark.parity
class TestResUNetParity(ParityTester):
    name = recording = "res_unet"
    sigmoid_inside = True
    taps: ClassVar[dict[str, str]] = {
        "hook:input_layer": "stem.body",
        "hook:residual_conv_1": "encoder.0",
        "hook:bridge": "encoder.2",
        "hook:upsample_1": "decoder.0.up",
        "hook:up_residual_conv1": "decoder.0.block",
        "hook:up_residual_conv3": "decoder.2.block",
        "hook:output_layer.0": "head",
    }


def test_an_impossible_width_is_refused_by_name():
    with pytest.raises(ConfigError, match="width"):
        create_model("res_unet", width=0)
