import os
from pathlib import Path

import pytest

from dermseg.errors import DataError
from dermseg.paths import check_writable, printable, require_writable


def test_bytes_that_are_no_text_can_be_printed():
    assert printable(Path(os.fsdecode(b"caf\xe9.jpg"))) == "caf\N{REPLACEMENT CHARACTER}.jpg"
    assert printable("شامة.png") == "شامة.png"


def test_halves_of_characters_can_be_printed():
    assert printable("\ud83d and \udfff") == "\N{REPLACEMENT CHARACTER} and \N{REPLACEMENT CHARACTER}"


def test_a_writable_folder_is_made_and_left_empty(tmp_path):
    require_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_is_checked_without_being_made(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("check", [check_writable, require_writable])
@pytest.mark.parametrize("deep", [".", "deep/er"])
def test_a_file_is_no_folder_to_write_to(tmp_path, check, deep):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"output folder .* cannot be written .*--out"):
        check(tmp_path / "file" / deep)
