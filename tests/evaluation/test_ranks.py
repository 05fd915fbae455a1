import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.stats import friedmanchisquare

from dermseg.errors import DataError
from dermseg.evaluation.statistics import critical_difference, friedman, rank_stability


def test_friedman_is_scipys():
    scores = np.random.default_rng(0).random((30, 5))
    statistic, p, ranks = friedman(scores)
    wanted = friedmanchisquare(*scores.T)
    assert (statistic, p) == (wanted.statistic, wanted.pvalue)
    assert ranks.sum() == pytest.approx(15)


def test_mean_ranks_share_ties_and_turn_with_the_scores():
    scores = [[0.9, 0.8, 0.8], [0.7, 0.7, 0.7], [0.5, 0.6, 0.1]]
    _, _, ranks = friedman(scores)
    assert ranks == pytest.approx([(1 + 2 + 2) / 3, (2.5 + 2 + 1) / 3, (2.5 + 2 + 3) / 3])
    statistic, p, turned = friedman(-np.array(scores))
    assert turned == pytest.approx(4 - ranks)
    assert (statistic, p) == pytest.approx(friedman(scores)[:2])


def test_systems_that_are_equal_on_every_image():
    statistic, p, ranks = friedman([[0.5, 0.5, 0.5], [0.6, 0.6, 0.6]])
    assert (statistic, p, ranks.tolist()) == (0.0, 1.0, [2.0, 2.0, 2.0])


@pytest.mark.parametrize("scores", [[[1, 2, 3]], [[1, 2], [3, 4]]])
def test_friedman_needs_two_images_and_three_systems(scores):
    with pytest.raises(DataError, match="two images and three systems"):
        friedman(scores)


# Demšar (2006), Table 5: the critical values q of Nemenyi's test at 5 %.
DEMSAR = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]


@pytest.mark.parametrize("k", range(2, 11))
def test_critical_difference_is_that_of_the_printed_table(k):
    n = 14
    wanted = DEMSAR[k - 2] * np.sqrt(k * (k + 1) / (6 * n))
    assert critical_difference(k, n) == pytest.approx(wanted, abs=0.001)


@pytest.mark.parametrize(("k", "n"), [(1, 10), (3, 0)])
def test_a_critical_difference_needs_two_systems_and_an_image(k, n):
    with pytest.raises(DataError, match="two systems and an image"):
        critical_difference(k, n)


@given(arrays(np.int64, array_shapes(min_dims=2, max_dims=2, max_side=5), elements=st.integers(0, 3)))
def test_every_system_has_a_place_and_every_place_a_system(scores):
    shares = rank_stability(scores)
    assert shares.shape == (scores.shape[1],) * 2
    assert (shares >= 0).all()
    assert shares.sum(axis=0) == pytest.approx(1)
    assert shares.sum(axis=1) == pytest.approx(1)


def test_clear_winners_keep_their_place_and_equals_share_it():
    rng = np.random.default_rng(1)
    base = rng.random(50)
    shares = rank_stability(np.stack([base, base + 0.1, base], axis=1))
    assert shares[1].tolist() == [1, 0, 0]
    assert shares[0].tolist() == shares[2].tolist() == [0, 0.5, 0.5]
    lowest = rank_stability(-np.stack([base, base + 0.1, base], axis=1))
    assert lowest[1].tolist() == [0, 0, 1]


def test_shares_are_those_of_resampled_means():
    scores = np.random.default_rng(2).random((12, 3))
    found = rank_stability(scores, seed=1)
    rng = np.random.default_rng(99)
    means = scores[rng.integers(12, size=(4000, 12))].mean(axis=1)
    places = (-means).argsort(axis=1).argsort(axis=1)
    wanted = np.array([[(places[:, system] == place).mean() for place in range(3)] for system in range(3)])
    assert found == pytest.approx(wanted, abs=0.04)
    assert np.array_equal(found, rank_stability(scores, seed=1))
    assert not np.array_equal(found, rank_stability(scores, seed=2))


def test_copies_of_an_image_do_not_make_a_ranking_surer():
    scores = np.random.default_rng(3).random((10, 2))
    copied, names = np.repeat(scores, 20, axis=0), np.repeat(np.arange(10), 20)
    once = rank_stability(scores)
    assert rank_stability(copied, names) == pytest.approx(once, abs=1e-12)
    assert abs(rank_stability(copied) - once).max() > 0.05


@pytest.mark.parametrize("scores", [[0.1, 0.2], [[np.nan, 1.0]], np.zeros((0, 3)), np.zeros((3, 0))])
def test_unusable_scores_are_refused(scores):
    with pytest.raises(DataError, match="finite"):
        rank_stability(scores)
