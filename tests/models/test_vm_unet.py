from typing import Any, ClassVar

import pytest
import torch
from tester import ModelTester

from dermseg.errors import ConfigError
from dermseg.models.registry import create_model
from dermseg.models.vm_unet import decode_as_released

SMALL = {"width": 16, "depths": (1, 1, 1, 1), "depths_decoder": (1, 1, 1, 1), "state": 4}


class TestVMUNet(ModelTester):
    name = "vm_unet"
    arguments: ClassVar[dict[str, Any]] = SMALL


class TestVMUNetD2292(ModelTester):
    name = "vm_unet_d2292"
    arguments: ClassVar[dict[str, Any]] = {"width": 16, "state": 2}
    sizes: ClassVar = [(32, 32), (32, 64), (5, 40)]


@torch.no_grad()
def test_skips_are_the_inputs_of_the_last_three_stages():
    model = create_model("vm_unet", **SMALL).eval()
    maps = model.encoder(torch.randn(1, 3, 64, 64))
    assert [tuple(x.shape[1:]) for x in maps.inputs] == [(16, 16, 16), (8, 8, 32), (4, 4, 64), (2, 2, 128)]
    received, made = [], []
    for stage in model.decoder.stages:
        stage.register_forward_pre_hook(lambda _, given: received.append(given[0]))
        stage.register_forward_hook(lambda *call: made.append(call[2]))
    decode_as_released(model.decoder, maps)
    torch.testing.assert_close(received[0], maps.outputs[3])
    for stage in (1, 2, 3):
        torch.testing.assert_close(
            received[stage] - made[stage - 1], maps.inputs[4 - stage], atol=1e-5, rtol=1e-5
        )


def test_drop_path_grows_with_depth_and_falls_in_the_decoder():
    model = create_model("vm_unet", width=8, drop_path=0.3)
    rates = [[block.drop_path.p for block in stage] for stage in model.encoder.stages]
    assert rates[0][0] == 0
    assert rates[3][-1] == pytest.approx(0.3)
    assert model.decoder.stages[0].blocks[0].drop_path.p == pytest.approx(0.3)
    assert model.decoder.stages[3].blocks[0].drop_path.p == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"width": 10}, "width"),
        ({"width": 4}, "width"),
        ({"depths": (2, 2, 2)}, "depths"),
        ({"depths_decoder": (2, 0, 2, 1)}, "depths_decoder"),
        ({"drop_path": 1.0}, "drop_path"),
        ({"state": 0}, "state"),
    ],
)
def test_impossible_sizes_are_refused_by_name(arguments, named):
    with pytest.raises(ConfigError, match=named):
        create_model("vm_unet", **arguments)
