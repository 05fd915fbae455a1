"""Lanes inside compiled kernels: memory, arithmetic, the larger of two and the largest of all."""

import numpy as np
import pytest
from numba import njit

from dermseg.ops.numba_lanes import WIDTH, fill, larger, largest, load, store, total
from dermseg.ops.numba_math import pointer


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lanes_are_read_calculated_and_written_where_asked(dtype):
    rng = np.random.default_rng(0)
    x, y = rng.random(WIDTH + 1).astype(dtype), 1 + rng.random(WIDTH).astype(dtype)
    out = np.zeros(WIDTH + 3, dtype)
    summed = calculate(x, y, dtype(0.5), out)
    np.testing.assert_allclose(out[2:-1], (x[1:] + y) / 2 - 0.5 / y, rtol=1e-6)
    assert out[[0, 1, -1]].tolist() == [0, 0, 0]
    assert summed == pytest.approx((x[1:] - 0.5).sum(), rel=1e-5)
