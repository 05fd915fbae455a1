from typing import Any, ClassVar

import pytest
from parity import ParityTester
from tester import ModelTester

from dermseg.errors import ConfigError
from dermseg.models.registry import create_model

SMALL = {"width": 8, "depths": (1, 1, 1, 1), "encoder_widths": (8, 16, 32, 64)}


class TestPraNet(ModelTester):
    name = "pra_net"
    arguments: ClassVar[dict[str, Any]] = SMALL
    drop_path = False


@pytest.mark.parity
class TestPraNetParity(ParityTester):
    name = "pra_net"
    recording = "pra_net"
    outputs: ClassVar[dict[str, int]] = {
        "lateral_map_2": 0,
        "lateral_map_3": 1,
        "lateral_map_4": 2,
        "lateral_map_5": 3,
    }
    taps: ClassVar[dict[str, str]] = {
        **{
            f"hook:resnet.{part}": f"encoder.backbone.{part}"
            for part in ("conv1", "maxpool", "layer1", "layer2", "layer3", "layer4")
        },
        **{f"hook:rfb{level + 2}_1": f"reductions.{level}" for level in range(3)},
        "hook:agg1": "decoder",
        "hook:ra4_conv1": "refinements.2.correction.conv1",
        "hook:ra4_conv5": "refinements.2.correction.conv5",
        "hook:ra3_conv4": "refinements.1.correction.conv4",
        "hook:ra2_conv4": "refinements.0.correction.conv4",
    }


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"width": 0}, "width"),
        ({"depths": (1, 1, 1)}, "depths"),
        ({"depths": (1, 0, 1, 1)}, "depths"),
        ({"encoder_widths": (8, 16, 32)}, "widths"),
        ({"encoder_widths": (2, 16, 32, 64)}, "widths"),
        ({"encoder_widths": (8, 15, 32, 64)}, "widths"),
        ({"pretrained": True}, "pretrained"),
    ],
)
def test_impossible_values_are_refused_by_name(arguments, named):
    with pytest.raises(ConfigError, match=named):
        create_model("pra_net", **(SMALL | arguments))
