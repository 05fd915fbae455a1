"""The table of `dermseg models`."""

import pytest

from dermseg.errors import ConfigError
from dermseg.models.base import SegmentationModel
from dermseg.models.registry import list_models
from dermseg.models.table import in_units, multiply_adds, print_models


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "200")


def listed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("│")]


def test_all_networks_are_listed_with_where_they_come_from(capsys: pytest.CaptureFixture[str]):
    print_models()
    printed = capsys.readouterr().out
    assert all(name in printed for name in list_models())
    assert "arxiv.org/abs/2411.09363" in printed
    assert "29.14 M (27.94 M)" in printed
    assert "8.25 G" in printed


def test_a_prediction_of_several_passes_says_so(capsys: pytest.CaptureFixture[str]):
    print_models(["fa_net"])
    assert " 10 x 20.27 G " in capsys.readouterr().out
    assert multiply_adds(202_700_000_000, 10) == "202.7 G (10 passes of 20.27 G)"
    assert multiply_adds(8_250_000_000, 1) == "8.25 G"


def test_patterns_choose_and_a_network_is_listed_once(capsys: pytest.CaptureFixture[str]):
    print_models(["vm*", "*"])
    assert listed(capsys) == list_models()
    print_models(["vm_une?", "xlstm*"])
    assert listed(capsys) == ["vm_unet", *list_models("xlstm*")]


def test_a_pattern_that_fits_nothing_is_answered_with_the_names():
    with pytest.raises(ConfigError, match=r"no network matches q\* or z\*; there are: .*xlstm_vmunet"):
        print_models(["q*", "z*"])


def test_the_table_answers_without_building_a_network(monkeypatch: pytest.MonkeyPatch):
    def build(*_, **__):
        raise AssertionError("a network was built")

    monkeypatch.setattr(SegmentationModel, "__init__", build)
    print_models()


def test_a_network_whose_costs_are_not_known_yet_is_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("dermseg.models.table.stored_costs", dict)
    print_models(["vm_unet"])
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("│ vm_unet "))
    assert [cell.strip() for cell in row.split("│")[4:6]] == ["27.43 M", "-"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (49_457, "49.46 k"), (27_427_561, "27.43 M"), (152_488_116_224, "152.5 G")],
)
def test_units(count: int, text: str):
    assert in_units(count) == text


def test_rows_stay_whole_in_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.delenv("COLUMNS")
    print_models()
    assert listed(capsys) == list_models()
