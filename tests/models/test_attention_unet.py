from typing import Any, ClassVar

import pytest
from parity import ParityTester
from tester import ModelTester


class TestAttentionUNet(ModelTester):
    name = "attention_unet"
    arguments: ClassVar[dict[str, Any]] = {"width": 4}
    drop_path = False
    overfit_rate = 3e-3


@pytest.mark.parity
class TestAttentionUNetParity(ParityTester):
    name = recording = "attention_unet"
    taps: ClassVar[dict[str, str]] = {
        "hook:Conv1": "encoder.0",
        "hook:Conv3": "encoder.2",
        "hook:Conv5": "encoder.4",
        "hook:Up5": "decoder.0.up",
        "hook:Att5.psi": "decoder.0.gate.weight",
        "hook:Att5": "decoder.0.gate",
        "hook:Up_conv5": "decoder.0.block",
        "hook:Up3": "decoder.2.up",
        "hook:Att2.psi": "decoder.3.gate.weight",
        "hook:Att2": "decoder.3.gate",
        "hook:Up_conv2": "decoder.3.block",
    }
