"""Accuracy and limits of the power of two inside compiled kernels."""

import numpy as np
import pytest
from numba import njit

from dermseg.ops import numba_math


@njit
def evaluate(x, out):
    for i in range(x.size):
        out[i] = numba_math.exp2(x[i])


def call(x):
    out = np.empty_like(x)
    evaluate(x, out)
    return out


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_accuracy_in_units_of_the_last_place(dtype):
    x = np.linspace(-126, 127, 200_001).astype(dtype)
    truth = np.exp2(x.astype(np.longdouble))
    error = np.abs(call(x) - truth) / truth / np.finfo(dtype).eps
    assert error.max() < 2.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_limits(dtype):
    x = np.array([np.nan, np.inf, -np.inf, 0], dtype)
    np.testing.assert_array_equal(call(x), np.array([np.nan, np.inf, 0, 1], dtype))


def test_underflow_is_zero_and_overflow_infinite():
    assert call(np.array([-127, -200, -1e30], np.float32)).tolist() == [0, 0, 0]
    assert call(np.array([128, 200, 1e30], np.float32)).tolist() == [np.inf] * 3
