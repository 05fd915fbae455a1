"""The statistics beside other packages, whose numbers are kept here, since they are heavy to install.

With pingouin 0.7.0, statsmodels 0.15.0 and scikit-posthocs 0.17.1, on `SCORES`:

    pingouin.wilcoxon(SCORES[:, system], SCORES[:, 0])
    statsmodels.stats.multitest.multipletests([0.04, 0.01, 0.03, 0.02, 0.5], method="holm")
    pingouin.friedman(long table of SCORES, dv="score", within="system", subject="image")
    scikit_posthocs.posthoc_nemenyi_friedman(SCORES)
"""

import numpy as np
import pytest

from dermseg.evaluation.statistics import (
    compare_with_best,
    critical_difference,
    friedman,
    holm,
    paired_wilcoxon,
    rank_biserial,
)

# 24 images, 3 systems; some tie.
FIRST = "65 73 69 85 87 73 74 65 69 86 71 96 71 76 100 84 75 71 66 62 93 88 60 58"
SECOND = "66 69 66 85 81 75 69 53 63 85 72 87 65 77 95 82 75 64 66 59 95 89 58 51"
THIRD = "62 69 63 87 86 66 74 51 62 85 65 86 66 72 90 77 73 67 62 65 92 86 54 52"
SCORES = np.array([column.split() for column in (FIRST, SECOND, THIRD)], float).T / 100


@pytest.mark.parametrize(
    ("system", "statistic", "p", "effect"),
    [
        (1, 26.0, 0.001932190609995013, -0.774891774891775),
        (2, 12.5, 0.00014007325487449063, -0.9094202898550725),
    ],
)
def test_wilcoxon_and_rank_biserial_are_pingouins(system, statistic, p, effect):
    assert paired_wilcoxon(SCORES[:, system], SCORES[:, 0]) == pytest.approx((statistic, p))
    assert rank_biserial(SCORES[:, system], SCORES[:, 0]) == pytest.approx(effect)


def test_the_comparison_with_the_best_puts_them_together():
    found = compare_with_best(dict(zip("abc", SCORES.T, strict=True)))
    assert [one.system for one in found] == ["b", "c"]
    assert [one.p_holm for one in found] == pytest.approx([0.001932190609995013, 2 * 0.00014007325487449063])


def test_holm_is_that_of_statsmodels():
    assert holm([0.04, 0.01, 0.03, 0.02, 0.5]) == pytest.approx([0.09, 0.05, 0.09, 0.08, 0.5])


def test_friedman_is_pingouins():
    assert friedman(SCORES)[:2] == pytest.approx((16.822222222222223, 0.00022238262778615452))


@pytest.mark.parametrize(
    ("one", "other", "p"),
    [(0, 1, 0.09127942436657), (0, 2, 0.0002127829259340741), (1, 2, 0.1455348686906458)],
)
def test_two_systems_lie_a_critical_difference_apart_at_the_p_value_of_scikit_posthocs(
    one, other, p, monkeypatch
):
    ranks = friedman(SCORES)[2]
    monkeypatch.setattr("dermseg.evaluation.statistics.ranks.ALPHA", p)
    # Its p-values are interpolated from a table.
    assert critical_difference(3, 24) == pytest.approx(abs(ranks[one] - ranks[other]), rel=0.01)
