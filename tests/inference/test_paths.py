import os
from pathlib import Path

from dermseg.inference.paths import printable, require_writable


def test_bytes_that_are_no_text_can_be_printed():
    assert printable(Path(os.fsdecode(b"caf\xe9.jpg"))) == "caf\N{REPLACEMENT CHARACTER}.jpg"
    assert printable("شامة.png") == "شامة.png"


def test_a_writable_folder_is_made_and_left_empty(tmp_path):
    require_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
