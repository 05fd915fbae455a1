"""Archives are unpacked whole, into their folder, or not at all."""

import json
import stat
import zipfile
from pathlib import Path

import pytest

from dermseg.data import unpack as module
from dermseg.data.unpack import unpack
from dermseg.errors import DataError


def archive_of(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo("x")
            # The constructor tidies names, which an enemy would not.
            info.filename = name
            info.compress_type = compression
            archive.writestr(info, content)
    return path


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A folder of its own, so that what leaves it is seen."""
    (tmp_path / "box").mkdir()
    return tmp_path / "box"


@pytest.mark.parametrize("top", ["", "data/", "other name/"])
def test_a_single_folder_at_the_top_is_replaced_by_ours(box, top):
    archive = archive_of(box / "data.zip", {f"{top}a.png": b"a", f"{top}deep/b.png": b"b"})
    assert unpack(archive, box / "data") == 2
    assert files_of(box / "data") == {"a.png": b"a", "deep/b.png": b"b"}
    assert sorted(path.name for path in box.iterdir()) == ["data", "data.zip"]


def test_what_macos_adds_is_left_out(box):
    names = ["data/a.png", "__MACOSX/data/._a.png", "data/._b.png", "data/.DS_Store"]
    unpack(archive_of(box / "data.zip", dict.fromkeys(names, b"a")), box / "data")
    assert files_of(box / "data") == {"a.png": b"a"}


def test_a_record_for_later_checks(box):
    archive = archive_of(box / "data.zip", {"data/a.png": b"abc"})
    unpack(archive, box / "data", box / "records" / "data.json")
    recorded = json.loads((box / "records" / "data.json").read_text("utf-8"))
    assert recorded["files"] == {"a.png": [3, 0x352441C2]}


def test_progress_is_told(box):
    heard: list[tuple[int, int]] = []
    archive = archive_of(box / "data.zip", {"a": b"12", "b": b"3"})
    unpack(archive, box / "data", report=lambda done, total: heard.append((done, total)))
    assert heard == [(2, 3), (3, 3)]


@pytest.mark.parametrize(
    "name",
    [
        "../out.png",
        "a/../../out.png",
        "/out.png",
        "//out.png",
        "C:out.png",
        "a\\..\\..\\out.png",
        "..",
        "a:b",
    ],
)
def test_names_that_lead_elsewhere(box, name):
    archive = archive_of(box / "data.zip", {"data/a.png": b"a", name: b"enemy"})
    with pytest.raises(DataError, match=r"data\.zip is not unpacked: .* in it (leads out|has a name)"):
        unpack(archive, box / "data")
    assert [path.name for path in box.iterdir()] == ["data.zip"]
    assert [path.name for path in box.parent.iterdir()] == ["box"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices(box, kind):
    with zipfile.ZipFile(box / "data.zip", "w") as archive:
        info = zipfile.ZipInfo("data/link")
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="is a link or a device"):
        unpack(box / "data.zip", box / "data")
    assert not (box / "data").exists()


def test_two_files_of_one_name(box):
    archive = archive_of(box / "data.zip", {"data/a.png": b"a", "data/A.PNG": b"b"})
    with pytest.raises(DataError, match="two files of one name"):
        unpack(archive, box / "data")


def test_a_file_that_is_also_a_folder(box):
    archive = archive_of(box / "data.zip", {"data/a": b"a", "data/a/b": b"b"})
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(archive, box / "data")
    assert [path.name for path in box.iterdir()] == ["data.zip"]


class TestBombs:
    def test_by_size(self, box, monkeypatch):
        monkeypatch.setattr(module, "MIN_ALLOWANCE", 1000)
        archive = archive_of(box / "data.zip", {"a.png": bytes(1 << 20)}, zipfile.ZIP_DEFLATED)
        with pytest.raises(DataError, match=r"would unpack to 1,048,576 bytes.*not unpacked"):
            unpack(archive, box / "data")
        assert not (box / "data").exists()

    def test_by_a_size_that_is_a_lie(self, box):
        archive = archive_of(box / "data.zip", {"a.png": bytes(1 << 20)}, zipfile.ZIP_DEFLATED)
        lie = archive.read_bytes().replace((1 << 20).to_bytes(4, "little"), (100).to_bytes(4, "little"))
        archive.write_bytes(lie)
        with pytest.raises(DataError, match="not a sound ZIP archive"):
            unpack(archive, box / "data")
        assert not (box / "data").exists()

    def test_by_count(self, box, monkeypatch):
        monkeypatch.setattr(module, "MAX_FILES", 3)
        archive = archive_of(box / "data.zip", {str(number): b"" for number in range(4)})
        with pytest.raises(DataError, match="holds 4 files, more than 3"):
            unpack(archive, box / "data")


class TestDamage:
    def damaged(self, box: Path, at: int) -> Path:
        archive = archive_of(box / "data.zip", {"data/a.png": b"a" * 100, "data/b.png": b"b" * 100})
        content = bytearray(archive.read_bytes())
        content[at] ^= 0xFF
        archive.write_bytes(content)
        return archive

    def test_a_flipped_byte_leaves_nothing(self, box):
        with pytest.raises(DataError, match=r"not a sound ZIP archive.*fetch it again"):
            unpack(self.damaged(box, 200), box / "data")
        assert [path.name for path in box.iterdir()] == ["data.zip"]

    @pytest.mark.parametrize("content", [b"", b"PK", b"<html></html>" * 100])
    def test_no_archive(self, box, content):
        (box / "data.zip").write_bytes(content)
        with pytest.raises(DataError, match="not a sound ZIP archive"):
            unpack(box / "data.zip", box / "data")

    def test_a_cut_archive(self, box):
        archive = archive_of(box / "data.zip", {"data/a.png": b"a" * 100})
        archive.write_bytes(archive.read_bytes()[:-30])
        with pytest.raises(DataError, match="not a sound ZIP archive"):
            unpack(archive, box / "data")

    def test_a_member_that_no_reader_finishes(self, box):
        archive = archive_of(box / "data.zip", {"data/a.png": bytes(1000)}, zipfile.ZIP_LZMA)
        content = bytearray(archive.read_bytes())
        # What the LZMA stream begins with, after a header of 30 bytes, the name, and four bytes of its own.
        content[30 + len("data/a.png") + 4] = 0xFF
        archive.write_bytes(content)
        with pytest.raises(DataError, match="not a sound ZIP archive"):
            unpack(archive, box / "data")

    def test_a_name_that_is_no_text(self, box):
        archive = archive_of(box / "data.zip", {"data/\xe9.png": b"a"})
        archive.write_bytes(archive.read_bytes().replace("\xe9".encode(), b"\xff\xff"))
        with pytest.raises(DataError, match="not a sound ZIP archive"):
            unpack(archive, box / "data")

    def test_encrypted_members(self, box):
        archive = archive_of(box / "data.zip", {"a.png": b"a" * 100})
        content = bytearray(archive.read_bytes())
        # The flags of the central directory, which come 8 bytes after its signature.
        content[content.index(b"PK\1\2") + 8] |= 1
        archive.write_bytes(content)
        with pytest.raises(DataError, match="is encrypted"):
            unpack(archive, box / "data")


def test_what_a_killed_run_left_is_replaced(box):
    (box / ".data-unpacking").mkdir()
    (box / ".data-unpacking" / "old.png").write_bytes(b"half")
    unpack(archive_of(box / "data.zip", {"data/a.png": b"a"}), box / "data")
    assert files_of(box / "data") == {"a.png": b"a"}
    assert not (box / ".data-unpacking").exists()


def test_a_folder_that_exists_is_left_alone(box):
    (box / "data").mkdir()
    (box / "data" / "mine.png").write_bytes(b"mine")
    with pytest.raises(DataError, match="exists already"):
        unpack(archive_of(box / "data.zip", {"data/a.png": b"a"}), box / "data")
    assert files_of(box / "data") == {"mine.png": b"mine"}
