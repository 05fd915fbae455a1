"""Files are complete or absent."""

import json
import os
from pathlib import Path

import pytest

from dermseg.files import copy, read_json, replacing, sha256_of, write_json


def test_a_finished_block_creates_the_file_and_its_folders(tmp_path: Path):
    path = tmp_path / "new" / "folder" / "result.json"
    write_json(path, {"größe": 1})
    assert json.loads(path.read_text(encoding="utf-8")) == {"größe": 1}


def test_names_of_files_that_are_not_utf_8_are_kept(tmp_path: Path):
    value = {"name": os.fsdecode(b"L\xe9sion.png")}
    write_json(tmp_path / "result.json", value)
    assert read_json(tmp_path / "result.json") == value


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b"[" * 10**5], ids=len)
def test_what_is_no_json_object_reads_as_none(tmp_path: Path, content: bytes):
    (tmp_path / "result.json").write_bytes(content)
    assert read_json(tmp_path / "result.json") is None
    assert read_json(tmp_path / "absent.json") is None
    assert read_json(tmp_path) is None
    assert read_json(tmp_path / "result.json" / "below.json") is None
    (tmp_path / "loop").symlink_to("loop")
    assert read_json(tmp_path / "loop") is None
    assert read_json(tmp_path / "loop" / "below.json") is None


def test_a_failed_block_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "result.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_copy_is_complete_or_leaves_what_was_there(tmp_path: Path):
    (tmp_path / "new").write_bytes(b"new")
    copy(tmp_path / "new", tmp_path / "folder" / "copy")
    with pytest.raises(FileNotFoundError):
        copy(tmp_path / "absent", tmp_path / "folder" / "copy")
    assert (tmp_path / "folder" / "copy").read_bytes() == b"new"
    assert len(list((tmp_path / "folder").iterdir())) == 1


def test_the_temporary_file_keeps_the_suffix(tmp_path: Path):
    with replacing(tmp_path / "mask.png") as temporary:
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path


@pytest.mark.skipif(os.name == "nt", reason="permissions are POSIX")
def test_results_get_the_permissions_of_any_new_file(tmp_path: Path):
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    with replacing(tmp_path / "written") as temporary:
        temporary.touch()
    assert (tmp_path / "written").stat().st_mode == ordinary.stat().st_mode


def test_sha256_of_a_file(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    assert sha256_of(tmp_path / "abc") == expected
