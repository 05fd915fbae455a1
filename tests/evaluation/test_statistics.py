import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, norm

from dermseg.errors import DataError
from dermseg.evaluation.statistics import mean_interval


def test_agrees_with_scipy_and_is_seeded():
    values = np.random.default_rng(3).beta(8, 1, 60)
    found = mean_interval(values, seed=5)
    wanted = bootstrap((values,), np.mean, method="BCa", rng=np.random.default_rng(5)).confidence_interval
    assert found.method == "BCa"
    assert found.mean == pytest.approx(values.mean())
    # Drawn in other batches, so equal up to the noise of the draw.
    width = wanted.high - wanted.low
    assert abs(found.low - wanted.low) < 0.05 * width
    assert abs(found.high - wanted.high) < 0.05 * width
    assert found == mean_interval(values, seed=5) != mean_interval(values, seed=6)


def test_of_normal_values_it_is_near_the_textbook_interval():
    values = np.random.default_rng(0).normal(5, 2, 400)
    found = mean_interval(values)
    half = norm.ppf(0.975) * values.std(ddof=1) / 20
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)
    wider = mean_interval(values, confidence=0.99)
    assert wider.low < found.low < found.high < wider.high


def test_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        found = mean_interval(rng.beta(8, 2, 40), resamples=500)
        hits += found.low <= 0.8 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_one_value_has_no_interval():
    found = mean_interval([0.7])
    assert (found.mean, found.low, found.high, found.method) == (0.7, None, None, "single value")


def test_equal_values_have_a_point():
    found = mean_interval([0.7] * 5)
    assert (found.mean, found.low, found.high, found.method) == (0.7, 0.7, 0.7, "constant")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=8))
def test_ends_are_finite_and_within_the_values(values):
    found = mean_interval(values, resamples=200)
    assert min(values) - 1e-12 <= found.low <= found.high <= max(values) + 1e-12


@pytest.mark.parametrize("values", [[], [float("nan"), 1.0], [float("inf")]])
def test_values_that_have_no_mean_are_refused(values):
    with pytest.raises(DataError, match="finite"):
        mean_interval(values)
