from typing import Any, ClassVar

import pytest
from parity import ParityTester
from tester import ModelTester

from dermseg.errors import ConfigError
from dermseg.models.registry import create_model

TAPS = {
    "hook:RRCNN1": "encoder.0",
    "hook:RRCNN3": "encoder.2",
    "hook:RRCNN5": "encoder.4",
    "hook:Up5": "decoder.0.up",
    "hook:Up_RRCNN5": "decoder.0.block",
    "hook:Up3": "decoder.2.up",
    "hook:Up_RRCNN2": "decoder.3.block",
}


class TestR2UNet(ModelTester):
    name = "r2_unet"
    arguments: ClassVar[dict[str, Any]] = {"width": 4}
    drop_path = False


class TestAttentionR2UNet(ModelTester):
    name = "attention_r2_unet"
    arguments: ClassVar[dict[str, Any]] = {"width": 4, "steps": 1}
    drop_path = False


@pytest.mark.parity
class TestR2UNetParity(ParityTester):
    name = recording = "r2_unet"
    taps: ClassVar[dict[str, str]] = TAPS


@pytest.mark.parity
class TestAttentionR2UNetParity(ParityTester):
    name = recording = "attention_r2_unet"
    taps: ClassVar[dict[str, str]] = TAPS | {
        "hook:Att5.psi": "decoder.0.gate.weight",
        "hook:Att5": "decoder.0.gate",
        "hook:Att2.psi": "decoder.3.gate.weight",
        "hook:Att2": "decoder.3.gate",
    }


@pytest.mark.parametrize("arguments", [{"width": 1}, {"steps": -1}])
def test_impossible_sizes_are_refused_by_name(arguments):
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        create_model("r2_unet", **arguments)
