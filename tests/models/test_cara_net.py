from typing import Any, ClassVar

import pytest
from parity import ParityTester
from tester import ModelTester

from dermseg.errors import ConfigError
from dermseg.models.registry import create_model

SMALL = {"width": 32, "depths": (1, 1, 1, 1), "encoder_widths": (8, 16, 32, 64)}


class TestCaraNet(ModelTester):
    name = "cara_net"
    arguments: ClassVar[dict[str, Any]] = SMALL
    drop_path = False
    overfit_rate = 3e-3


@pytest.mark.parity
class TestCaraNetParity(ParityTester):
    name = "cara_net"
    recording = "cara_net"
    outputs: ClassVar[dict[str, int]] = {
        "lateral_map_5": 0,
        "lateral_map_3": 1,
        "lateral_map_2": 2,
        "lateral_map_1": 3,
    }
    taps: ClassVar[dict[str, str]] = {
        **{f"hook:resnet.layer{stage}": f"encoder.backbone.layer{stage}" for stage in range(1, 5)},
        **{f"hook:rfb{level + 2}_1": f"reductions.{level}" for level in range(3)},
        "hook:agg1": "decoder",
        **{f"hook:CFP_{level + 1}": f"pyramids.{level}" for level in range(3)},
        **{f"hook:aa_kernel_{level + 1}": f"attentions.{level}" for level in range(3)},
        "hook:aa_kernel_3.Hattn": "attentions.2.height",
        "hook:aa_kernel_1.Hattn": "attentions.0.height",
        **{f"hook:ra{level + 1}_conv3": f"refinements.{level}.correction.conv3" for level in range(3)},
    }


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"width": 16}, "width"),
        ({"width": 0}, "width"),
        ({"width": 40}, "width"),
        ({"depths": (1,)}, "depths"),
    ],
)
def test_impossible_values_are_refused_by_name(arguments, named):
    with pytest.raises(ConfigError, match=named):
        create_model("cara_net", **(SMALL | arguments))
