"""What is there is told from what is missing and what is wrong."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from dermseg.cli import main
from dermseg.data import verify as module
from dermseg.data.verify import verify
from dermseg.errors import ConfigError, DataError

PART = "ISIC2018_Task1-2_Training_Input"


@pytest.fixture
def known(entry, monkeypatch) -> None:
    """Let the catalogue know the small ISIC 2018 by that name."""
    others = [other for other in module.entries() if other.name != "isic2018"]
    monkeypatch.setattr(module, "entries", lambda: (*others, entry))
    monkeypatch.setattr(module, "load_entry", {other.name: other for other in (*others, entry)}.__getitem__)


@pytest.fixture
def there(known, fetched, tmp_path: Path) -> Path:
    """The small ISIC 2018, downloaded."""
    fetched()
    return tmp_path / "data"


def states(path: Path, name: str | None = None) -> dict[str, str]:
    verification = verify(path, name)
    assert verification.entry.name == "isic2018"
    return {finding.name.removesuffix(".zip"): finding.state for finding in verification.findings}


def archives(path: Path, server) -> Path:
    path.mkdir()
    for name, content in server.files.items():
        (path / name).write_bytes(content)
    return path


def test_a_download_is_good(there):
    assert set(states(there).values()) == {"good"}
    assert verify(there).complete


@pytest.mark.usefixtures("known")
def test_archives_are_good(server, tmp_path):
    assert set(states(archives(tmp_path / "archives", server)).values()) == {"good"}


@pytest.mark.usefixtures("known")
def test_one_archive(server, tmp_path):
    folder = archives(tmp_path / "archives", server)
    assert states(folder / f"{PART}.zip") == {PART: "good"}
    (folder / "other.zip").touch()
    with pytest.raises(DataError, match=r"other\.zip has the name of no file of the catalogue"):
        verify(folder / "other.zip")


def test_folders_unpacked_by_other_means_cannot_be_vouched_for(there):
    shutil.rmtree(there / ".dermseg")
    assert set(states(there).values()) == {"unsure"}
    assert verify(there).complete


def test_folders_in_folders_as_some_programs_unpack_them(there):
    shutil.move(there / PART, there / "moved")
    (there / PART).mkdir()
    shutil.move(there / "moved", there / PART / PART)
    assert states(there)[PART] == "good"


class TestFaults:
    def test_missing(self, there):
        shutil.rmtree(there / PART)
        (there / f"{PART}.zip.part").write_bytes(b"123")
        verification = verify(there)
        assert not verification.complete
        assert states(there)[PART] == "missing"
        assert "3 bytes of it have arrived" in verification.findings[0].detail

    def test_an_image_is_missing(self, there):
        next((there / PART).glob("*.jpg")).unlink()
        assert states(there)[PART] == "wrong"
        assert "holds 2 images instead of 3" in verify(there).findings[0].detail

    @pytest.mark.parametrize("change", [lambda old: old + b"x", lambda old: bytes(len(old)), lambda _: b""])
    def test_a_file_that_changed_is_named(self, there, change):
        image = next((there / PART).glob("*.jpg"))
        image.write_bytes(change(image.read_bytes()))
        assert states(there)[PART] == "wrong"
        assert image.name in verify(there).findings[0].detail

    def test_an_empty_file_is_noticed_without_a_record(self, there):
        shutil.rmtree(there / ".dermseg")
        image = next((there / PART).glob("*.jpg"))
        image.write_bytes(b"")
        assert "empty files" in verify(there).findings[0].detail

    @pytest.mark.parametrize(
        "record", ["{}", '{"files": 3}', '{"files": {}}', "[", '{"files": {"../x": [1]}}']
    )
    def test_a_broken_record_is_no_proof(self, there, record):
        (there / ".dermseg" / f"{PART}.json").write_text(record, "utf-8")
        assert states(there)[PART] in ("unsure", "wrong")

    @pytest.mark.parametrize("name", ["nul\0", "/dev/zero"])
    def test_a_record_of_what_can_be_no_file(self, there, name):
        path = there / ".dermseg" / f"{PART}.json"
        record = json.loads(path.read_text("utf-8"))
        record["files"][name] = [0, 0]
        path.write_text(json.dumps(record), "utf-8")
        assert states(there)[PART] == "wrong"

    @pytest.mark.usefixtures("known")
    @pytest.mark.parametrize("change", [lambda old: old + b"x", lambda old: bytes(len(old))])
    def test_a_damaged_archive(self, server, tmp_path, change):
        folder = archives(tmp_path / "archives", server)
        archive = folder / f"{PART}.zip"
        archive.write_bytes(change(archive.read_bytes()))
        assert states(folder)[PART] == "wrong"

    def test_an_archive_without_public_checksum(self, entry, server, tmp_path, monkeypatch):
        folder = archives(tmp_path / "archives", server)
        bare = replace(entry, files=tuple(replace(file, checksum=None, size=None) for file in entry.files))
        monkeypatch.setattr(module, "entries", lambda: (bare,))
        monkeypatch.setattr(module, "load_entry", lambda _: bare)
        assert set(states(folder).values()) == {"unsure"}


class TestRecognition:
    def test_nothing_known(self, tmp_path):
        with pytest.raises(DataError, match=r"holds nothing of isic2016, .*Found: an empty folder"):
            verify(tmp_path)

    def test_no_such_path(self, tmp_path):
        with pytest.raises(DataError, match="does not exist"):
            verify(tmp_path / "absent")

    def test_no_such_name(self, tmp_path):
        with pytest.raises(ConfigError, match="no data set"):
            verify(tmp_path, "isic1999")

    def test_two_sets_in_one_folder(self, tmp_path):
        for name in ("ISIC-2017_Training_Data", PART):
            (tmp_path / name).mkdir()
        with pytest.raises(DataError, match=r"holds files of isic2017, isic2018; choose one with --name"):
            verify(tmp_path)
        assert verify(tmp_path, "isic2017").entry.name == "isic2017"

    def test_ph2_is_counted(self, tmp_path):
        for folder, name in (("images", "IMD002.png"), ("masks", "IMD002_lesion.png")):
            (tmp_path / folder).mkdir()
            Image.new("L", (6, 4), "white").save(tmp_path / folder / name)
        verification = verify(tmp_path)
        assert verification.entry.name == "ph2"
        assert not verification.complete
        assert "1 pairs instead of 200" in verification.findings[0].detail

    def test_your_own_images_are_counted(self, tmp_path):
        for folder in ("images", "masks"):
            (tmp_path / folder).mkdir()
            Image.new("L", (6, 4), "white").save(tmp_path / folder / "a.png")
        verification = verify(tmp_path)
        assert (verification.entry.name, verification.complete) == ("folder", True)


class TestCommand:
    def test_status_and_what_is_printed(self, there, capsys: pytest.CaptureFixture[str]):
        assert main(["data", "verify", str(there)]) == 0
        assert capsys.readouterr().out.count("  good ") == 6
        shutil.rmtree(there / PART)
        assert main(["data", "verify", str(there)]) == 1
        told = capsys.readouterr().out
        assert f"missing  {PART}.zip is not there" in told
        assert f"`dermseg data download isic2018 --out {there}`" in told

    def test_nothing_known(self, tmp_path, capsys: pytest.CaptureFixture[str]):
        assert main(["data", "verify", str(tmp_path)]) == 2
        assert "holds nothing of" in capsys.readouterr().err


def test_a_download_mends_what_verify_finds_missing(there, fetched):
    shutil.rmtree(there / PART)
    fetched()
    assert verify(there).complete
