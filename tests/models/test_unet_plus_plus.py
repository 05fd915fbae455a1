from typing import Any, ClassVar

import pytest
import torch
from parity import ParityTester
from tester import ModelTester

from dermseg.errors import ConfigError
from dermseg.models.registry import create_model

TAPS = {
    f"hook:conv{node}": f"nodes.{node}"
    for node in ("0_0", "0_1", "2_0", "1_1", "4_0", "3_1", "2_2", "1_3", "0_4")
}


class TestUNetPlusPlus(ModelTester):
    name = "unet_plus_plus"
    arguments: ClassVar[dict[str, Any]] = {"width": 4}
    drop_path = False
    overfit_rate = 3e-3


class TestUNetPlusPlusDS(ModelTester):
    name = "unet_plus_plus_ds"
    arguments: ClassVar[dict[str, Any]] = {"width": 4}
    drop_path = False
    overfit_rate = 3e-3


@pytest.mark.parity
class TestUNetPlusPlusParity(ParityTester):
    name = recording = "unet_plus_plus"
    taps: ClassVar[dict[str, str]] = TAPS


@pytest.mark.parity
class TestUNetPlusPlusDSParity(ParityTester):
    name = recording = "unet_plus_plus_ds"
    outputs: ClassVar[dict[str, int]] = {"out1": 1, "out2": 2, "out3": 3, "out4": 0}
    taps: ClassVar[dict[str, str]] = TAPS


@torch.no_grad()
def test_a_shallow_head_sees_only_the_levels_of_its_own_u_net():
    model = create_model("unet_plus_plus_ds", width=4).eval()
    images = torch.randn(1, 3, 32, 32)
    logits, auxiliary = model.outputs(images)
    model.nodes["4_0"][3].weight.zero_()
    changed_logits, changed = model.outputs(images)
    assert not torch.equal(changed_logits, logits)
    assert len(auxiliary) == 3
    assert all(torch.equal(before, after) for before, after in zip(auxiliary, changed, strict=True))


def test_an_impossible_width_is_refused_by_name():
    with pytest.raises(ConfigError, match="width"):
        create_model("unet_plus_plus", width=0)
