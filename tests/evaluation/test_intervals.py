import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, norm

from dermseg.errors import DataError
from dermseg.evaluation.statistics import bca_interval, intervals, mean_interval


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


def test_covers_the_true_mean_about_as_often_as_it_says(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 500)
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        found = mean_interval(rng.beta(8, 2, 40))
        hits += found.low <= 0.8 <= found.high
    assert found.confidence == 0.95
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
    found = mean_interval(values)
    assert min(values) - 1e-12 <= found.low <= found.high <= max(values) + 1e-12


@pytest.mark.parametrize("values", [[], [float("nan"), 1.0], [float("inf")]])
def test_values_that_have_no_mean_are_refused(values):
    with pytest.raises(DataError, match="finite"):
        mean_interval(values)


def by_definition(values, statistic, clusters, resamples, seed, level=0.95):
    """BCa by its textbook (Efron and Tibshirani, 1993, 14.3), one drawn set of clusters after the other."""
    groups = [values[clusters == name] for name in dict.fromkeys(clusters)]
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(groups), size=(resamples, len(groups)))
    found = np.array([statistic(np.concatenate([groups[i] for i in row])) for row in drawn])
    estimate = statistic(values)
    left_out = np.array([statistic(np.concatenate(groups[:i] + groups[i + 1 :])) for i in range(len(groups))])
    away = left_out.mean() - left_out
    acceleration = (away**3).sum() / (6 * (away**2).sum() ** 1.5)
    bias = norm.ppf(((found < estimate).mean() + (found <= estimate).mean()) / 2)
    ends = []
    for side in (norm.ppf((1 - level) / 2), norm.ppf((1 + level) / 2)):
        shifted = bias + side
        ends.append(np.quantile(found, norm.cdf(bias + shifted / (1 - acceleration * shifted))))
    return ends


def trimmed(values):
    return np.sort(values)[1:-1].mean()


@pytest.mark.parametrize("statistic", [np.mean, np.median, trimmed])
def test_clusters_are_drawn_whole(statistic, monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 500)
    rng = np.random.default_rng(4)
    clusters = rng.integers(12, size=50)
    values = rng.beta(8, 2, 50) + 0.02 * clusters
    found = bca_interval(values, statistic, clusters, seed=3)
    assert found.method == "BCa"
    wanted = by_definition(values, statistic, clusters, 500, 3)
    assert (found.low, found.high) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_clusters_of_one_are_scipy(statistic, monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 800)
    values = np.random.default_rng(7).beta(8, 1, 40)
    clusters = [f"lesion {number}" for number in range(40)]
    found = bca_interval(values, statistic, clusters, seed=2)
    wanted = bootstrap(
        (values,),
        statistic,
        n_resamples=800,
        method="BCa",
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)
    assert found == bca_interval(values, statistic, seed=2)


def test_images_of_unknown_lesions_stand_alone():
    values = np.random.default_rng(8).random(6)
    found = bca_interval(values, clusters=["a", None, "a", "", float("nan"), None])
    assert found == bca_interval(values, clusters=["a", "b", "a", "c", "d", "e"])


def test_copies_of_an_image_do_not_narrow_a_clustered_interval():
    values = np.random.default_rng(9).beta(8, 2, 30)
    once = bca_interval(values)
    copied, names = np.repeat(values, 5), np.repeat(np.arange(30), 5)
    clustered, naive = bca_interval(copied, clusters=names), bca_interval(copied)
    assert (clustered.low, clustered.high) == pytest.approx((once.low, once.high))
    assert naive.high - naive.low < 0.6 * (once.high - once.low)


def test_a_mean_is_drawn_over_lesions():
    values, names = np.random.default_rng(9).beta(8, 2, 30), np.arange(30) // 3
    found, ends = mean_interval(values, names), bca_interval(values, clusters=names)
    assert (found.mean, found.low, found.high) == (values.mean(), ends.low, ends.high)
    assert (found.low, found.high) != (mean_interval(values).low, mean_interval(values).high)


def test_one_lesion_has_no_interval():
    found = bca_interval([0.2, 0.4, 0.9], clusters=["a", "a", "a"])
    assert (found.low, found.high, found.method) == (None, None, "single value")


def test_where_bca_is_undefined_the_interval_is_a_percentile_one(monkeypatch):
    monkeypatch.setattr(intervals, "RESAMPLES", 300)
    # The largest value is what most resamples give, and leaving one out changes nothing.
    found = bca_interval([1.0, 1.0, 1.0, 0.0], np.max)
    assert (found.low, found.high, found.method) == (1.0, 1.0, "percentile")


@pytest.mark.parametrize("clusters", [["a"], ["a", "b", "c"]])
def test_every_image_needs_one_label(clusters):
    with pytest.raises(DataError, match="cluster labels for 2 images"):
        bca_interval([0.1, 0.2], clusters=clusters)


def test_a_statistic_that_is_not_finite_has_no_interval():
    with pytest.raises(DataError, match="not finite"):
        bca_interval([0.1, 0.2, 0.3], lambda _: np.nan)


@pytest.mark.parametrize("values", ["abc", [[0.1, 0.2]], [None, 0.2], [object()]])
def test_values_that_are_no_scores_are_refused(values):
    with pytest.raises(DataError, match="Scores must be"):
        bca_interval(values)
