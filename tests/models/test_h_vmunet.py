from itertools import chain
from typing import Any, ClassVar

import pytest
from parity import ParityTester
from tester import ModelTester

from dermseg.errors import ConfigError
from dermseg.models.h_vmunet import HighOrderBlock
from dermseg.models.registry import create_model

SMALL = {"widths": (8, 8, 8, 16, 32, 32)}


class TestHVMUNet(ModelTester):
    name = "h_vmunet"
    arguments: ClassVar[dict[str, Any]] = SMALL
    overfit_rate = 1e-2  # 72 scans make every step slow


@pytest.mark.parity
class TestHVMUNetParity(ParityTester):
    name = "h_vmunet"
    recording = "h_vmunet"
    taps: ClassVar = {"final": "unet.head"}
    sigmoid_inside = True


def test_the_first_decoder_stage_drops_both_paths_as_often():
    unet = create_model("h_vmunet", **SMALL, drop_path=0.7).unet
    stages = [*unet.encoders, *unet.decoders]
    rates = [[block.drop_path.p for block in stage if isinstance(block, HighOrderBlock)] for stage in stages]
    assert [len(found) for found in rates] == [0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 0]
    expected = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.6, 0.6, 0.4, 0.5, 0.2, 0.3, 0, 0.1]
    assert list(chain(*rates)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"widths": (8, 16, 32, 64, 128)}, "widths"),
        ({"widths": (8, 16, 20, 64, 128, 256)}, "widths: 20 must be a multiple of 8"),
        ({"drop_path": 1.0}, "drop_path"),
    ],
)
def test_impossible_sizes_are_refused_by_name(arguments, named):
    with pytest.raises(ConfigError, match=named):
        create_model("h_vmunet", **arguments)
