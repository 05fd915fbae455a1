"""Accuracy and limits of the exponentials inside compiled kernels."""

import numpy as np
import pytest
from numba import njit

from dermseg.ops import numba_math


@njit
def evaluate(which, x, out):
    for i in range(x.size):
        if which == 0:
            out[i] = numba_math.exp2(x[i])
        elif which == 1:
            out[i] = numba_math.softplus(x[i])
        else:
            out[i] = numba_math.softplus_slope(x[i])


def call(which, x):
    out = np.empty_like(x)
    evaluate(which, x, out)
    return out


def exact_softplus(x):
    return np.where(x > 20, x, np.log1p(np.exp(x)))


def exact_slope(x):
    return np.where(x > 20, 1, 1 / (1 + np.exp(-x)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("which", "exact", "low"), [(0, np.exp2, -126), (1, exact_softplus, -87), (2, exact_slope, -87)]
)
def test_accuracy_in_units_of_the_last_place(which, exact, low, dtype):
    x = np.linspace(low, 127, 200_001).astype(dtype)
    truth = exact(x.astype(np.longdouble))
    error = np.abs(call(which, x) - truth) / truth / np.finfo(dtype).eps
    assert error.max() < 2.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_limits(dtype):
    x = np.array([np.nan, np.inf, -np.inf, 0], dtype)
    np.testing.assert_array_equal(call(0, x), np.array([np.nan, np.inf, 0, 1], dtype))
    np.testing.assert_array_equal(call(1, x)[:3], np.array([np.nan, np.inf, 0], dtype))
    np.testing.assert_array_equal(call(2, x), np.array([np.nan, 1, 0, 0.5], dtype))


def test_underflow_is_zero_and_overflow_infinite():
    assert call(0, np.array([-127, -200, -1e30], np.float32)).tolist() == [0, 0, 0]
    assert call(0, np.array([128, 200, 1e30], np.float32)).tolist() == [np.inf] * 3
