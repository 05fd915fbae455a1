"""Values of the wrong type, size or number are refused by the name of their argument."""

import math

import pytest

from dermseg.errors import ConfigError
from dermseg.layers.checks import check_flag, check_rate, check_whole, check_wholes


@pytest.mark.parametrize("value", [8, 12, 16])
def test_whole_numbers_pass(value: int):
    check_whole("width", value, least=8, most=16, multiple=4)
    check_wholes("widths", [value, value], 2, least=8, multiple=4)
    check_wholes("widths", (value,), 1)


@pytest.mark.parametrize("value", [4, 9, 20, -8, 8.0, 8.5, "8", None, True, (8,), math.nan, math.inf])
def test_other_numbers_and_types_are_refused(value: object):
    with pytest.raises(
        ConfigError, match="width must be a whole number from 8 to 16 that is a multiple of 4"
    ):
        check_whole("width", value, least=8, most=16, multiple=4)


@pytest.mark.parametrize(
    "values", [3, None, "88", (), (8,), (8, 8, 8), (8.0, 8), (8, "8"), (8, None), (8, True), (8, 4), (8, 9)]
)
def test_other_sequences_are_refused(values: object):
    with pytest.raises(ConfigError, match="widths must be 2 whole numbers, each of at least 8"):
        check_wholes("widths", values, 2, least=8, multiple=4)


def test_rates_are_from_0_to_below_1():
    check_rate("drop_path", 0)
    check_rate("drop_path", 0.999)


@pytest.mark.parametrize("value", [-0.1, 1, 1.0, math.nan, math.inf, "0.1", None, True, False])
def test_other_rates_are_refused(value: object):
    with pytest.raises(ConfigError, match=r"drop_path must be a number in \[0, 1\)"):
        check_rate("drop_path", value)


def test_flags_are_true_or_false():
    check_flag("pretrained", True)
    check_flag("pretrained", False)


@pytest.mark.parametrize("value", ["yes", None, 0, 1])
def test_other_flags_are_refused(value: object):
    with pytest.raises(ConfigError, match="pretrained must be True or False"):
        check_flag("pretrained", value)
