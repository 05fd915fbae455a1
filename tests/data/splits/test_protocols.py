"""Published divisions by name, each with what is wrong with it."""

import pytest

from dermseg.data.groups import Group
from dermseg.data.splits import SIDES, load_split, save_split
from dermseg.data.splits.protocols import PROTOCOLS, Material, draw_protocol
from dermseg.errors import ConfigError

NAMES = tuple(f"ISIC_{number:07d}" for number in range(2594))
PAIR = Group(("ISIC_0000003", "ISIC_0002000"), "one lesion")


def sizes(split):
    return [len(getattr(split, side)) for side in SIDES]


def test_published_counts():
    material = Material(NAMES, groups=(PAIR,))
    assert sizes(draw_protocol("ultralight-1815-259-520", material)[0]) == [1815, 259, 520]
    assert sizes(draw_protocol("vm-unet-70-30", material)[0]) == [1816, 778, 0]
    folds = draw_protocol("paper-5-fold", material)
    assert [fold.name for fold in folds] == [f"paper-5-fold-{number}" for number in range(1, 6)]
    assert sorted(name for fold in folds for name in fold.test) == list(NAMES)
    assert all(abs(len(fold.validation) - 207.5) <= 1 for fold in folds)


def test_shares_where_the_data_are_others():
    assert sizes(draw_protocol("ultralight-1815-259-520", Material(NAMES[:100]))[0]) == [70, 10, 20]


@pytest.mark.parametrize("name", [name for name in PROTOCOLS if name != "official"])
def test_they_say_what_is_wrong_keep_groups_and_survive_a_file(name, tmp_path):
    for split in draw_protocol(name, Material(NAMES, groups=(PAIR,)), seed=3):
        assert split.warning == PROTOCOLS[name].warning != ""
        assert sum(bool(set(PAIR.identifiers) & set(getattr(split, side))) for side in SIDES) == 1
        save_split(split, tmp_path / "split.json")
        assert load_split(tmp_path / "split.json").warning == split.warning


def test_validation_used_as_test_is_called_so():
    assert "VALIDATION IS TEST" in PROTOCOLS["vm-unet-70-30"].warning


def test_official_parts():
    sides = {name: ("train", "validation", "test")[index % 3] for index, name in enumerate(NAMES[:30])}
    [split] = draw_protocol("official", Material(NAMES[:30], sides))
    assert sizes(split) == [10, 10, 10]
    assert not split.warning
    assert all(sides[name] == "test" for name in split.test)


def test_validation_is_drawn_from_official_training():
    sides = {name: "test" if index < 10 else "train" for index, name in enumerate(NAMES[:30])}
    [split] = draw_protocol("official", Material(NAMES[:30], sides))
    assert sizes(split) == [18, 2, 10]
    assert set(split.test) == set(NAMES[:10])


def test_official_parts_must_be_there():
    with pytest.raises(ConfigError, match="'official' needs two of the parts"):
        draw_protocol("official", Material(NAMES, dict.fromkeys(NAMES, "train")))


def test_unknown_names_list_the_known():
    with pytest.raises(ConfigError, match=r"no protocol 'mine'; choose paper-5-fold, .*official"):
        draw_protocol("mine", Material(NAMES))
