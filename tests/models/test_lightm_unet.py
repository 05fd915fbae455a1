from typing import Any, ClassVar

import pytest
import torch
from parity import ParityTester
from tester import ModelTester

from dermseg.errors import ConfigError
from dermseg.models.registry import create_model

SMALL = {"width": 8, "depths": (1, 1, 1, 1)}


class TestLightMUNet(ModelTester):
    name = "lightm_unet"
    arguments: ClassVar[dict[str, Any]] = SMALL
    drop_path = False
    overfit_rate = 3e-3


@pytest.mark.parity
class TestLightMUNetParity(ParityTester):
    name = "lightm_unet"
    recording = "lightm_unet"
    outputs: ClassVar = {}
    taps: ClassVar = {"out": "head"}
    # Layer norms of pixels near 0 blow rounding up: float32 and float64 are 3e-3 apart in our network, too,
    # while another epsilon of the group norms, the smallest mistake tried, moves the output by 5e-2.
    tap_precision = 7e-3


@torch.no_grad()
def test_the_sigmoid_of_the_logits_is_the_softmax_of_lesion():
    model, scores = create_model("lightm_unet", **SMALL).eval(), []
    model.head.register_forward_hook(lambda *call: scores.append(call[2]))
    logits = model(torch.randn(2, 3, 16, 24))
    torch.testing.assert_close(logits.sigmoid(), scores[0].softmax(1)[:, 1:])


@pytest.mark.parametrize(
    ("arguments", "named"), [({"width": 12}, "width"), ({"depths": (1, 2, 2)}, "depths")]
)
def test_impossible_sizes_are_refused_by_name(arguments, named):
    with pytest.raises(ConfigError, match=named):
        create_model("lightm_unet", **arguments)
