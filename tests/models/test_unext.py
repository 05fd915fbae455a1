from typing import Any, ClassVar

import pytest
import torch
from golden import golden, needs_reference
from parity import ParityTester
from tester import ModelTester

from dermseg.errors import ConfigError
from dermseg.models.registry import create_model
from dermseg.models.released import load_released

ROUNDING = 2e-5  # ten times the largest difference from the recordings


class TestUNeXt(ModelTester):
    name = "unext"
    arguments: ClassVar[dict[str, Any]] = {"widths": (8, 8, 12, 17, 20)}
    drop_path = False


class TestUNeXtParity(ParityTester):
    name = recording = "unext"
    atol = ROUNDING


class TestUNeXtSParity(ParityTester):
    name = recording = "unext_s"
    atol = ROUNDING


@needs_reference
@torch.no_grad()
def test_equals_the_release_on_larger_images():
    data, model = golden("unext"), create_model("unext").eval()
    load_released(model, data.state_dict())
    data.assert_close(model(data.images(1, size=512)), "out_512", ROUNDING)


def test_weights_begin_as_released():
    torch.manual_seed(0)
    coarsest = create_model("unext").encoder[-1]
    mlp = coarsest.block.mlp
    assert mlp.first.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert mlp.depthwise.weight.std().item() == pytest.approx((2 / 9) ** 0.5, rel=0.05)
    assert coarsest.embed.weight.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.02)
    assert not any(layer.bias.any() for layer in (mlp.first, mlp.second, mlp.depthwise, coarsest.embed))


@pytest.mark.parametrize("widths", [(16, 32, 128, 160), (16, 32, 0, 160, 256)])
def test_impossible_widths_are_refused_by_name(widths):
    with pytest.raises(ConfigError, match="widths"):
        create_model("unext", widths=widths)
