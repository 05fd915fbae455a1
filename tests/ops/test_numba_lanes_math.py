"""Accuracy and limits of the exponentials of lanes."""

import numpy as np
import pytest
from numba import njit

from dermseg.ops.numba_lanes import WIDTH, load, store
from dermseg.ops.numba_lanes_math import (
    EXP2_CONSTANTS,
    HIGHEST,
    exp2_clamped,
    exp2_within,
    logistic,
    softplus,
)
from dermseg.ops.numba_math import pointer


@njit
def evaluate(which, x, out, constants):
    x_at, out_at, constants_at = pointer(x), pointer(out), pointer(constants)
    for i in range(0, x.size, WIDTH):
        lanes = load(x_at, i)
        if which == 0:
            result = exp2_clamped(lanes)
        elif which == 1:
            result = softplus(lanes)
        elif which == 2:
            result = logistic(lanes)
        else:
            result = exp2_within(lanes, constants_at)
        store(result, out_at, i)


def call(which, x):
    padded = np.zeros(-(-x.size // WIDTH) * WIDTH, x.dtype)
    padded[: x.size] = x
    out = np.empty_like(padded)
    evaluate(which, padded, out, EXP2_CONSTANTS)
    return out[: x.size]


def exact_softplus(x):
    return np.where(x > 20, x, np.log1p(np.exp(x)))


def exact_slope(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("which", "exact", "low"), [(0, np.exp2, -126), (1, exact_softplus, -87), (2, exact_slope, -87)]
)
def test_accuracy_in_units_of_the_last_place(which, exact, low, dtype):
    x = np.linspace(low, 126.9, 200_001).astype(dtype)
    truth = exact(x.astype(np.longdouble))
    error = np.abs(call(which, x) - truth) / truth / np.finfo(dtype).eps
    assert error.max() < 2.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_powers_without_limits_are_as_accurate(dtype):
    x = np.linspace(-HIGHEST, HIGHEST, 200_001).astype(dtype)
    truth = np.exp2(x.astype(np.longdouble))
    error = np.abs(call(3, x) - truth) / truth / np.finfo(dtype).eps
    assert error.max() < 2.5
    assert np.isnan(call(3, np.array([np.nan], dtype))).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_limits(dtype):
    x = np.array([np.nan, np.inf, -np.inf, 0], dtype)
    tiny = np.finfo(np.float32).tiny  # where the float32 functions end
    power, plus, slope = (call(which, x) for which in range(3))
    assert np.isnan([power[0], plus[0], slope[0]]).all()
    assert power[1] >= 2.0**127
    assert [plus[1], slope[1]] == [np.inf, 1]
    assert all(0 <= value <= 2 * tiny for value in (power[2], plus[2], slope[2]))
    assert power[3] == 1
    assert slope[3] == 0.5


def test_float32_powers_saturate_at_the_ends_of_the_normal_numbers():
    assert call(0, np.array([-127, -200, -1e30], np.float32)).tolist() == [2.0**-126] * 3
    assert call(0, np.array([128, 200, 1e30], np.float32)).tolist() == [2.0**127] * 3
