import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from dermseg.errors import DataError
from dermseg.evaluation.statistics import (
    best_system,
    compare_with_best,
    holm,
    paired_wilcoxon,
    rank_biserial,
)

SCORES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=8)


def test_wilcoxon_is_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 80))
    wanted = wilcoxon(a, b, correction=True)
    assert paired_wilcoxon(a, b) == (wanted.statistic, wanted.pvalue)


def test_wilcoxon_of_few_images_is_exact():
    a, b = np.array([0.9, 0.8, 0.7, 0.95, 0.6]), np.array([0.5, 0.6, 0.65, 0.94, 0.3])
    # All five differences are positive: 2 of the 2^5 choices of signs are as extreme.
    assert paired_wilcoxon(a, b) == (0.0, 2 / 32)
    assert paired_wilcoxon(b, a) == (0.0, 2 / 32)


def test_equal_scores_say_nothing():
    a, b = [0.9, 0.8, 0.7, 0.6, 0.5, 0.5], [0.5, 0.6, 0.65, 0.59, 0.3, 0.5]
    assert paired_wilcoxon(a, b) == paired_wilcoxon(a[:-1], b[:-1])
    assert rank_biserial(a, b) == rank_biserial(a[:-1], b[:-1]) == 1.0
    assert paired_wilcoxon(a, a) == (0.0, 1.0)
    assert rank_biserial(a, a) == 0.0


# Few, since the p-value of tied scores is that of all choices of signs.
@settings(max_examples=15)
@given(SCORES)
def test_wilcoxon_and_effect_change_sides_with_the_systems(pairs):
    a, b = zip(*pairs, strict=True)
    statistic, p = paired_wilcoxon(a, b)
    assert (statistic, p) == paired_wilcoxon(b, a)
    assert 0 <= p <= 1
    assert rank_biserial(a, b) == pytest.approx(-rank_biserial(b, a))
    assert -1 <= rank_biserial(a, b) <= 1


def test_rank_biserial_of_known_ranks():
    # Differences 1, -2, 3, 4: ranks 1, 2, 3, 4, of which 8 of 10 for the first system.
    assert rank_biserial([1, 0, 3, 4], [0, 2, 0, 0]) == pytest.approx(0.6)


def test_holm_of_known_values():
    # The example of Holm's procedure: 0.01 * 4, 0.02 * 3, then 0.03 * 2 and 0.04, which may not fall below.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0]
    assert holm([]).size == 0


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.001, 0.2))
def test_holm_rejects_what_its_step_down_procedure_rejects(p_values, alpha):
    rejected = []
    for step, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] * (len(p_values) - step) > alpha:
            break
        rejected.append(index)
    adjusted = holm(p_values)
    assert sorted(np.flatnonzero(adjusted <= alpha)) == sorted(rejected)
    assert (adjusted >= p_values).all()


@pytest.mark.parametrize("p_values", [[-0.1], [1.1], [np.nan], [[0.1]]])
def test_what_is_no_p_value_is_refused(p_values):
    with pytest.raises(DataError, match="p-values"):
        holm(p_values)


def systems(seed=0, images=60):
    rng = np.random.default_rng(seed)
    base = rng.beta(8, 2, images)
    return {
        "worse": base - 0.05 + rng.normal(0, 0.02, images),
        "best": base + rng.normal(0, 0.02, images),
        "near": base - 0.001 + rng.normal(0, 0.02, images),
    }


def test_every_system_is_compared_with_the_best():
    scores = systems()
    found = compare_with_best(scores)
    assert best_system(scores) == "best"
    assert [one.system for one in found] == ["worse", "near"]
    for one in found:
        assert one.difference == pytest.approx(scores[one.system].mean() - scores["best"].mean())
        assert one.p == paired_wilcoxon(scores[one.system], scores["best"])[1]
        assert one.effect_size == rank_biserial(scores[one.system], scores["best"])
    assert [one.p_holm for one in found] == holm([one.p for one in found]).tolist()
    worse, near = found
    assert worse.p_holm < 1e-6
    assert worse.effect_size < -0.9
    assert near.p_holm > 0.05


def test_systems_that_are_all_equal_and_one_alone():
    same = [0.5, 0.6, 0.7]
    [found] = compare_with_best({"first": same, "second": same})
    assert (found.system, found.difference, found.p, found.p_holm, found.effect_size) == (
        "second",
        0,
        1,
        1,
        0,
    )
    assert compare_with_best({"alone": same}) == []


@pytest.mark.parametrize(
    "scores",
    [{}, {"a": [0.1, 0.2], "b": [0.1]}, {"a": [0.1, np.nan], "b": [0.1, 0.2]}, {"a": [], "b": []}],
)
def test_scores_that_cannot_be_compared_are_refused(scores):
    with pytest.raises(DataError):
        compare_with_best(scores)
