from typing import Any, ClassVar

import pytest
import torch
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
    overfit_rate = 3e-3
    # All steps share one BatchNorm, as released. Its running statistics average over the steps and fit none
    # of them: trained to a Dice of 0.99, a small network has 0.3 in evaluation mode, and 0.99 at steps=0.
    running_statistics = False


class TestAttentionR2UNet(ModelTester):
    name = "attention_r2_unet"
    arguments: ClassVar[dict[str, Any]] = {"width": 4, "steps": 1}
    drop_path = False
    overfit_rate = 3e-3
    running_statistics = False


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


def test_every_step_moves_the_shared_running_statistics():
    model = create_model("r2_unet", width=2, steps=2)
    model(torch.randn(2, 3, 32, 32))
    counts = {key: int(count) for key, count in model.state_dict().items() if key.endswith("tracked")}
    assert {count for key, count in counts.items() if ".recurrent." in key} == {3}
    assert {count for key, count in counts.items() if ".recurrent." not in key} == {1}


@pytest.mark.parametrize("arguments", [{"width": 1}, {"steps": -1}])
def test_impossible_sizes_are_refused_by_name(arguments):
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        create_model("r2_unet", **arguments)
