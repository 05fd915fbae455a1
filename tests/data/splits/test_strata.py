"""Sides have their share of every kind of image, and groups still stay together."""

from collections import Counter

import numpy as np
import pytest

from dermseg.data.splits import SIDES, hold_out, k_fold
from dermseg.data.splits.strata import strata

NAMES = [f"image-{number:04d}" for number in range(600)]
KINDS = {
    name: "small" if index % 10 else ("large" if index % 100 else "rare") for index, name in enumerate(NAMES)
}


def shares(names):
    counts = Counter(KINDS[name] for name in names)
    return {kind: counts[kind] / len(names) for kind in ("small", "large")}


@pytest.mark.parametrize("seed", range(3))
def test_a_hold_out_spreads_every_kind(seed):
    split = hold_out(NAMES, validation=0.1, test=0.2, seed=seed, strata=KINDS)
    assert [len(getattr(split, side)) for side in SIDES] == [420, 60, 120]
    for side in SIDES:
        counts = Counter(KINDS[name] for name in getattr(split, side))
        for kind, total in Counter(KINDS.values()).items():
            assert abs(counts[kind] - total * len(getattr(split, side)) / len(NAMES)) <= 1.5


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_spread_every_kind(folds):
    # Kinds that alternate in the order of names must not fall to alternate folds.
    kinds = {name: str(index % 2) for index, name in enumerate(NAMES)}
    for split in k_fold(NAMES, folds=folds, seed=1, strata=kinds):
        assert abs(sum(kinds[name] == "0" for name in split.test) - len(split.test) / 2) <= 1
        assert abs(sum(kinds[name] == "0" for name in split.validation) - len(split.validation) / 2) <= 1.5


def test_groups_and_order():
    groups = [NAMES[first : first + 7] for first in range(0, 600, 20)]
    split = hold_out(NAMES, seed=4, groups=groups, strata=KINDS)
    assert split == hold_out(NAMES[::-1], seed=4, groups=groups[::-1], strata=dict(reversed(KINDS.items())))
    assert split.checksum != hold_out(NAMES, seed=5, groups=groups, strata=KINDS).checksum
    for group in groups:
        assert sum(bool(set(group) & set(getattr(split, side))) for side in SIDES) == 1
    assert abs(shares(split.test)["large"] - shares(NAMES)["large"]) < 0.05


def test_the_kinds_are_recorded():
    assert hold_out(NAMES, strata=KINDS).origin["strata"] == {"large": 54, "rare": 6, "small": 540}
    assert "strata" not in hold_out(NAMES).origin


def test_kinds_are_named_by_lesion_frame_and_source():
    sizes = [(767, 1022)] * 97 + [(500, 500), (501, 500), (502, 500)]
    areas = np.linspace(0, 1, 100).tolist()
    names = NAMES[:100]
    kinds = strata(names, areas, sizes)
    assert kinds[names[0]] == "lesion 0-5 %, 767 x 1022"
    assert kinds[names[20]] == "lesion 15-30 %, 767 x 1022"
    assert kinds[names[99]] == "lesion 60-100 %, other sizes"
    assert strata(names, areas, sizes, {names[0]: "train"})[names[0]] == "lesion 0-5 %, 767 x 1022, train"
