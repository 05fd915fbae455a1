from typing import Any, ClassVar

import pytest
from parity import ParityTester
from tester import ModelTester


class TestSkinMamba(ModelTester):
    name = "skin_mamba"
    arguments: ClassVar[dict[str, Any]] = {"width": 8, "state": 2}
    drop_path = False


@pytest.mark.parity
class TestSkinMambaParity(ParityTester):
    name = "skin_mamba"
    recording = "skin_mamba"
    taps: ClassVar = {"ffmb": "bottleneck", "logits": "head"}
    sigmoid_inside = True
