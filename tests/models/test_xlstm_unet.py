from typing import Any, ClassVar

import pytest
from residual_unets import OneNameEachParity, ResidualUNetParity
from tester import ModelTester

from dermseg.errors import ConfigError
from dermseg.models.registry import create_model

SMALL = {"widths": (8, 8, 8, 8, 16, 16, 32)}
ROUNDING = 2e-3
"""Of the standard deviation. The memory enlarges the encoder's rounding: float64 differs by 1.5e-3."""


class TestXLSTMUNet(ModelTester):
    name = "xlstm_unet"
    arguments: ClassVar[dict[str, Any]] = SMALL
    drop_path = False
    square = (128, 128)  # a coarsest map of one pixel would lose all contrast to its normalisation
    overfit_rate = 3e-3


@pytest.mark.parity
class TestXLSTMUNetParity(ResidualUNetParity):
    name = recording = "xlstm_unet"
    tap_precision = ROUNDING


@pytest.mark.parity
class TestXLSTMUNetParityUnderOneNameEach(OneNameEachParity):
    name = "xlstm_unet"
    recording = "xlstm_unet_canon"
    tap_precision = ROUNDING


@pytest.mark.parametrize("widths", [(4, 4), (4, 4, 4, 4, 8, 8, 6)])
def test_impossible_widths_are_refused_by_name(widths: tuple[int, ...]):
    with pytest.raises(ConfigError, match="widths must be"):
        create_model("xlstm_unet", widths=widths)
