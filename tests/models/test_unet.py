from typing import Any, ClassVar

import pytest
from parity import ParityTester
from tester import ModelTester

from dermseg.errors import ConfigError
from dermseg.models.registry import create_model


class TestUNet(ModelTester):
    name = "unet"
    arguments: ClassVar[dict[str, Any]] = {"width": 4}
    drop_path = False


@pytest.mark.parity
class TestUNetParity(ParityTester):
    name = recording = "unet"
    taps: ClassVar[dict[str, str]] = {
        "hook:Conv1": "encoder.0",
        "hook:Conv3": "encoder.2",
        "hook:Conv5": "encoder.4",
        "hook:Up5": "decoder.0.up",
        "hook:Up_conv5": "decoder.0.block",
        "hook:Up3": "decoder.2.up",
        "hook:Up_conv2": "decoder.3.block",
    }


def test_an_impossible_width_is_refused_by_name():
    with pytest.raises(ConfigError, match="width"):
        create_model("unet", width=1)
