"""The table of `dermseg models`."""

import pytest

from dermseg.errors import ConfigError
from dermseg.models.registry import list_models
from dermseg.models.table import print_models


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
    assert "27.94 M" in printed


def test_patterns_choose_and_a_network_is_listed_once(capsys: pytest.CaptureFixture[str]):
    print_models(["vm*", "*"])
    assert listed(capsys) == list_models()
    print_models(["vm_une?", "xlstm*"])
    assert listed(capsys) == ["vm_unet", *list_models("xlstm*")]


def test_a_pattern_that_fits_nothing_is_answered_with_the_names():
    with pytest.raises(ConfigError, match=r"no network matches a\* or b\*; there are: .*xlstm_vmunet"):
        print_models(["a*", "b*"])
