"""Lanes inside compiled kernels: memory, arithmetic, accuracy and limits of the exponentials."""

import numpy as np
import pytest
from numba import njit

from dermseg.ops.numba_lanes import (
    EXP2_CONSTANTS,
    HIGHEST,
    WIDTH,
    exp2,
    exp2_within,
    fill,
    larger,
    largest,
    load,
    logistic,
    softplus,
    store,
    total,
)
from dermseg.ops.numba_math import pointer


@njit
def evaluate(which, x, out, constants):
    x_at, out_at, constants_at = pointer(x), pointer(out), pointer(constants)
    for i in range(0, x.size, WIDTH):
        lanes = load(x_at, i)
        if which == 0:
            result = exp2(lanes)
        elif which == 1:
            result = softplus(lanes)
        elif which == 2:
            result = logistic(lanes)
        else:
            result = exp2_within(lanes, constants_at)
        store(result, out_at, i)


@njit
def calculate(x, y, number, out):
    x_at, y_at, out_at = pointer(x), pointer(y), pointer(out)
    a, b = load(x_at, 1), load(y_at, 0)
    store((a + b) * number - number / b, out_at, 2)
    return total(a - fill(number))


@njit
def compare(x, y, out):
    x_at, y_at, out_at = pointer(x), pointer(y), pointer(out)
    store(larger(load(x_at, 0), load(y_at, 0)), out_at, 0)
    return largest(load(x_at, 0))


def call(which, x):
    padded = np.zeros(-(-x.size // WIDTH) * WIDTH, x.dtype)
    padded[: x.size] = x
    out = np.empty_like(padded)
    evaluate(which, padded, out, EXP2_CONSTANTS)
    return out[: x.size]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_larger_and_largest(dtype):
    x, y = np.random.default_rng(0).normal(size=(2, WIDTH)).astype(dtype)
    y[3] = np.nan
    out = np.empty_like(x)
    assert compare(x, y, out) == x.max()
    assert np.isnan(out[3])
    np.testing.assert_array_equal(np.delete(out, 3), np.delete(np.maximum(x, y), 3))
    compare(y, x, out)
    assert out[3] == x[3]


def exact_softplus(x):
    return np.where(x > 20, x, np.log1p(np.exp(x)))


def exact_slope(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lanes_are_read_calculated_and_written_where_asked(dtype):
    rng = np.random.default_rng(0)
    x, y = rng.random(WIDTH + 1).astype(dtype), 1 + rng.random(WIDTH).astype(dtype)
    out = np.zeros(WIDTH + 3, dtype)
    summed = calculate(x, y, dtype(0.5), out)
    np.testing.assert_allclose(out[2:-1], (x[1:] + y) / 2 - 0.5 / y, rtol=1e-6)
    assert out[[0, 1, -1]].tolist() == [0, 0, 0]
    assert summed == pytest.approx((x[1:] - 0.5).sum(), rel=1e-5)


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
