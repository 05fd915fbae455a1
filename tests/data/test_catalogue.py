"""The catalogue says what is known, how it is known, and how to get the data."""

import re
from pathlib import Path

import pytest

from dermseg.cli import main
from dermseg.data.catalogue.entries import NAMES, entries, load_entry, overlaps
from dermseg.data.catalogue.table import by_hand
from dermseg.data.command_line import Layout
from dermseg.errors import ConfigError

DIGITS = {"md5": 32, "sha256": 64}


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Run a command and return what it prints, as it would in a file."""
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*words: str) -> str:
        assert main(["data", *words]) == 0
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_can_be_read_and_is_whole(name: str):
    entry = load_entry(name)
    assert entry.layout in Layout.__args__
    assert entry.licence
    assert entry.access in ("open", "registration", "own")
    assert bool(entry.files) == (entry.access == "open")
    assert bool(entry.by_hand) != bool(entry.files)
    if entry.access != "own":
        assert entry.pairs
        assert entry.citation
        assert entry.page.startswith("https://")


@pytest.mark.parametrize("entry", [entry for entry in entries() if entry.files], ids=lambda entry: entry.name)
def test_files_have_official_addresses_and_add_up(entry):
    # Images and masks, of each as many.
    assert sum(file.images for file in entry.files) == 2 * entry.pairs
    assert entry.size
    assert entry.checksums_from
    for file in entry.files:
        assert file.urls
        for url in file.urls:
            assert re.match(r"https://(isic-\w+(-\w+)*\.s3\.amazonaws\.com|dataverse\.harvard\.edu)/", url)
        assert file.folder is None or file.images
        algorithm, digest = file.checksum.split(":")
        assert re.fullmatch(rf"[0-9a-f]{{{DIGITS[algorithm]}}}", digest)


def test_no_two_files_share_a_name_or_a_checksum():
    files = [file for entry in entries() for file in entry.files]
    assert len({file.name for file in files}) == len({file.checksum for file in files}) == len(files)


def test_known_counts():
    assert {entry.name: entry.pairs for entry in entries() if entry.pairs} == {
        "isic2016": 1279,
        "isic2017": 2750,
        "isic2018": 3694,
        "ham10000": 10015,
        "ph2": 200,
    }


def test_overlaps_name_parts_of_the_catalogue_and_are_no_larger_than_them():
    for overlap in overlaps():
        sizes = []
        for side in (overlap.images, overlap.also_in):
            name, part = side.split()
            sizes.append(load_entry(name).images[part])
        assert sizes[0] == overlap.of
        assert overlap.shared <= min(sizes)
    assert any(overlap.shared == 529 for overlap in load_entry("isic2017").overlaps)
    assert load_entry("isic2017").overlaps != load_entry("isic2016").overlaps
    assert load_entry("ham10000").overlaps == ()


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(ConfigError, match="did you mean isic2018"):
        load_entry("isic_2018")
    with pytest.raises(ConfigError, match=r"no data set '\.\./isic2018'"):
        load_entry("../isic2018")


def test_list_has_a_line_for_each(printed):
    lines = printed("list").splitlines()
    for entry in entries():
        [line] = [line for line in lines if f" {entry.name} " in line]
        assert f"{entry.pairs:,}" in line or not entry.pairs
        assert entry.licence in line


def test_show_tells_all(printed):
    shown = " ".join(printed("show", "isic2018").split())
    entry = load_entry("isic2018")
    for fact in (
        "2,594 training, 100 validation, 1,000 test",
        "CC BY-NC 4.0",
        "Sources disagree",
        "arXiv:1902.03368",
        "529 of 600 images of isic2017 test are also in isic2018 training",
        "dermseg data download isic2018",
        *(file.name for file in entry.files),
        *(file.checksum for file in entry.files),
    ):
        assert fact in shown


def test_show_says_what_is_not_known(printed):
    assert "exact size unknown" in printed("show", "isic2017")
    shown = printed("show", "ph2")
    assert "unconfirmed" in shown
    assert "fill in the form" in shown


def test_show_of_an_unknown_name(capsys: pytest.CaptureFixture[str]):
    assert main(["data", "show", "isic18"]) == 2
    assert "isic2018" in capsys.readouterr().err


def test_what_to_fetch_by_hand_and_where_to_put_it():
    entry = load_entry("isic2016")
    text = by_hand(entry, entry.files[:1], Path("there"))
    assert entry.files[0].urls[0] in text
    assert entry.files[1].name not in text
    assert "into there" in text
    assert "dermseg data verify there" in text
