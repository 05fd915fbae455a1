import hashlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dermseg.data.splits import SIDES, Split, frozen_splits, hold_out, k_fold, load_split, save_split
from dermseg.errors import ConfigError, DataError

NAMES = [f"image-{number:03d}" for number in range(100)]
FEW = "abcdefghijkl"
KINDS = {name: "ab"[index % 3 == 0] for index, name in enumerate(FEW)}
TOGETHER = [("a", "b"), ("c", "k")]


def side_of(split: Split) -> dict[str, str]:
    return {identifier: side for side in SIDES for identifier in getattr(split, side)}


class TestSplit:
    def test_overlap_is_refused_by_name(self):
        with pytest.raises(DataError, match=r"b is in train and again in test"):
            Split("s", ("a", "b"), (), ("b",))
        with pytest.raises(DataError, match=r"a is in train and again in train"):
            Split("s", ("a", "a"), (), ())

    def test_checksum_is_of_the_lists_alone(self):
        text = "[train]\na\nb\n[validation]\nc\n[test]"
        assert Split("s", ("b", "a"), ("c",), ()).checksum == hashlib.sha256(text.encode()).hexdigest()
        assert Split("s", ("a", "b"), (), ("c",)).checksum != Split("s", ("a", "b"), ("c",), ()).checksum

    def test_missing_identifiers_are_listed(self):
        split = Split("s", tuple(NAMES), (), ("z",))
        split.check([*NAMES, "z", "more"])
        with pytest.raises(DataError, match=r"needs 94 images.*image-007, .*image-011 and 89 more"):
            split.check([*NAMES[:7]])


class TestHoldOut:
    def test_counts_and_shares(self):
        split = hold_out(NAMES, validation=0.2, test=30, seed=1)
        assert (len(split.train), len(split.validation), len(split.test)) == (50, 20, 30)
        assert set(split.identifiers) == set(NAMES)

    def test_depends_on_seed_but_not_on_order(self):
        first = hold_out(NAMES, validation=10, test=10, seed=1)
        assert hold_out(NAMES[::-1], validation=10, test=10, seed=1) == first
        assert hold_out(NAMES, validation=10, test=10, seed=2).checksum != first.checksum

    def test_draw_never_changes(self):
        # Results name splits by seed, so a release must not draw others.
        assert hold_out("abcdefgh", validation=1, test=2, seed=0).test == ("f", "g")
        split = hold_out(FEW, validation=2, test=3, seed=1, groups=TOGETHER, strata=KINDS)
        assert (split.validation, split.test) == (("d", "e"), ("g", "h", "l"))

    @given(st.sets(st.text(min_size=1), min_size=4, max_size=40), st.integers(0, 5), st.data())
    def test_groups_stay_on_one_side(self, names, seed, data):
        group = data.draw(st.lists(st.sampled_from(sorted(names)), max_size=4))
        chained = [*group[-1:], "not in the data", min(names)]
        split = hold_out(names, validation=0.25, test=0.25, seed=seed, groups=[group, chained])
        sides = side_of(split)
        assert sides.keys() == names
        assert len({sides[name] for name in {*group, *([min(names)] if group else [])}}) <= 1

    def test_groups_make_no_side_larger_than_asked_for(self):
        groups = [NAMES[first : first + 3] for first in range(0, 99, 3)]
        split = hold_out(NAMES, validation=10, test=20, groups=groups)
        assert 8 <= len(split.validation) <= 10
        assert 18 <= len(split.test) <= 20

    @pytest.mark.parametrize(
        ("validation", "test"),
        [(0.5, 0.5), (50, 50), (-1, 10), (0.1, 1.5), (math.nan, 1), (0.1, math.inf)],
    )
    def test_impossible_sizes(self, validation, test):
        with pytest.raises(ConfigError, match=r"validation=|test="):
            hold_out(NAMES, validation=validation, test=test, seed=0)


class TestKFold:
    def test_every_image_is_tested_once(self):
        splits = k_fold(NAMES, folds=3, validation=0.1, seed=0)
        assert sorted(name for split in splits for name in split.test) == NAMES
        assert [len(split.test) for split in splits] == [34, 33, 33]
        assert all(set(split.identifiers) == set(NAMES) for split in splits)
        assert all(len(split.validation) == 7 for split in splits)
        assert splits[0].name == "k-fold-1-of-3"

    def test_draw_never_changes(self):
        splits = k_fold(FEW, folds=3, validation=2, seed=1, groups=TOGETHER, strata=KINDS)
        drawn = ["".join(getattr(split, side)) for split in splits for side in ("validation", "test")]
        assert drawn == ["el", "fghj", "ef", "abdil", "ij", "cek"]

    @pytest.mark.parametrize("kinds", [None, {name: name[-1] for name in NAMES}])
    def test_no_image_chooses_the_epoch_of_two_folds(self, kinds):
        splits = k_fold(NAMES, folds=5, validation=0.1, strata=kinds)
        chosen = [name for split in splits for name in split.validation]
        assert len(chosen) == len(set(chosen)) == 40

    def test_where_a_validation_side_is_larger_than_a_fold_every_image_is_still_learned_from(self):
        splits = k_fold(NAMES, folds=5, validation=0.5)
        assert {name for split in splits for name in split.train} == set(NAMES)

    def test_groups_stay_on_one_side(self):
        groups = [NAMES[:3], NAMES[50:52]]
        for split in k_fold(NAMES, folds=5, seed=3, groups=groups):
            sides = side_of(split)
            assert all(len({sides[name] for name in group}) == 1 for group in groups)

    @pytest.mark.parametrize("folds", [0, 1, 101])
    def test_impossible_folds(self, folds):
        with pytest.raises(ConfigError, match="must be from 2 to 100"):
            k_fold(NAMES, folds=folds)


class TestFiles:
    def test_round_trip(self, tmp_path):
        split = hold_out([*NAMES, "آفة", "L\udce9sion"], validation=0.1, test=0.1, seed=0)
        save_split(split, tmp_path / "split.json")
        assert load_split(tmp_path / "split.json") == split
        assert load_split(str(tmp_path / "split.json")).checksum == split.checksum

    def test_tampering_is_noticed(self, tmp_path):
        path = tmp_path / "split.json"
        save_split(hold_out(NAMES, validation=0.1, test=0.1, seed=0), path)
        content = json.loads(path.read_text())
        content["train"].append(content["test"].pop())
        path.write_text(json.dumps(content))
        with pytest.raises(DataError, match=r"split\.json was changed after it was written"):
            load_split(path)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{}",
            "[]",
            "null",
            '{"name": "x", "train": 1, "validation": [], "test": [], "checksum": ""}',
            '{"name": "x", "train": [1], "validation": [], "test": [], "checksum": ""}',
            '{"name": "x", "train": "ab", "validation": [], "test": [], "checksum": ""}',
            '{"name": "", "train": [], "validation": [], "test": [], "checksum": "", "origin": {"leaks": 2}}',
            '{"name": "", "train": [], "validation": [], "test": [], "checksum": "", "origin": [1]}',
            "[" * 100_000,
        ],
    )
    def test_other_files_are_refused(self, tmp_path, text):
        (tmp_path / "split.json").write_text(text)
        with pytest.raises(DataError, match=r"split\.json is not a split file.*needs name, checksum"):
            load_split(tmp_path / "split.json")

    def test_an_image_on_two_sides_is_refused_with_the_file(self, tmp_path):
        text = '{"name": "x", "train": ["a"], "validation": ["a"], "test": [], "checksum": ""}'
        (tmp_path / "split.json").write_text(text)
        with pytest.raises(
            DataError, match=r"split\.json is no split: .*a is in train and again in validation"
        ):
            load_split(tmp_path / "split.json")

    def test_unknown_name_lists_the_frozen_ones(self, tmp_path):
        for source in ("isic2018", tmp_path, tmp_path / "none.json", "a\0b", "a" * 5000):
            with pytest.raises(DataError, match="isic2018-2094, ph2-150"):
                load_split(source)


class TestFrozen:
    def test_pairs_found_later_are_named_where_they_are_on_two_sides(self):
        split = load_split("isic2018-2094")
        sides = side_of(split)
        crossed = [pair for pair in split.origin["found_later"] if sides[pair[0]] != sides[pair[1]]]
        assert len(crossed) == 2
        for pair, line in zip(crossed, split.reservations["leaks"], strict=True):
            assert all(name in line for name in pair)

    def test_checksums_never_change(self):
        assert {name: load_split(name).checksum[:16] for name in frozen_splits()} == {
            "isic2018-2094": "e0afb4a40e7f4f96",
            "ph2-150": "78a1aaa2e535180a",
        }

    def test_sizes(self):
        isic, ph2 = load_split("isic2018-2094"), load_split("ph2-150")
        assert [len(getattr(isic, side)) for side in SIDES] == [1594, 200, 300]
        assert [len(getattr(ph2, side)) for side in SIDES] == [0, 0, 150]

    def test_images_of_one_lesion_are_on_one_side(self):
        split = load_split("isic2018-2094")
        sides = side_of(split)
        groups = split.origin["kept_together"]
        assert ["ISIC_0012222", "ISIC_0016003"] in groups
        assert all(len({sides[name] for name in group}) == 1 for group in groups)
