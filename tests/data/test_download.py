"""A data set arrives where the readers expect it, whatever happens on the way."""

import io
import random
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from file_server import archive_of, breaks_after, quick, status
from filelock import FileLock
from rich.console import Console

from dermseg.cli import main
from dermseg.data import download as module
from dermseg.data.catalogue.entries import Entry, load_entry
from dermseg.data.download import download
from dermseg.data.readers import read_collection
from dermseg.errors import DataError

OFFLINE = "http://127.0.0.1:9"


def offline(entry: Entry) -> Entry:
    """The same data set without a network."""
    return replace(
        entry, files=tuple(replace(file, urls=(f"{OFFLINE}/{file.name}",)) for file in entry.files)
    )


def sound(out: Path) -> bool:
    """Say whether the readers find all pairs and nothing is left over."""
    collection = read_collection(out, "isic2018_task1")
    left = [path.name for path in out.iterdir() if path.is_file()]
    return len(collection.pairs) == 6 and not collection.problems and not left


def test_a_data_set_arrives_and_reads(fetched, tmp_path):
    said = fetched()
    assert sound(tmp_path / "data")
    assert said.index("Licence: CC BY-NC 4.0 (Sources disagree") < said.index("Training_Input.zip: done")
    assert "6 images with masks" in said
    assert f"dermseg data check {tmp_path / 'data'}" in said


def test_a_second_run_asks_for_nothing(fetched, server, tmp_path):
    fetched()
    asked = len(server.ranges)
    assert "there already" in fetched()
    assert len(server.ranges) == asked
    assert sound(tmp_path / "data")


def test_what_is_known_comes_before_the_first_request(tmp_path, monkeypatch):
    def refuses(*_: object) -> None:
        raise KeyboardInterrupt

    said = io.StringIO()
    monkeypatch.setattr(module, "fetch", refuses)
    with pytest.raises(KeyboardInterrupt):
        download(load_entry("isic2018"), tmp_path / "data", Console(file=said))
    assert "13.8 GB to download" in said.getvalue()
    assert "CC BY-NC 4.0" in said.getvalue()
    assert "arXiv:1902.03368" in said.getvalue()


def test_broken_connections_are_told_and_mended(fetched, server, tmp_path):
    server.script = [breaks_after(100), breaks_after(50)]
    said = fetched(attempts=3)
    assert "broke off after 100 of" in said
    assert sound(tmp_path / "data")


def test_a_terminal_gets_a_bar(entry, server, tmp_path):
    server.pace = 0.05
    said = io.StringIO()
    download(entry, tmp_path / "data", Console(file=said, force_terminal=True, width=200), quick())
    assert "fetching ISIC2018_Task1-2_Training_Input.zip" in said.getvalue()
    assert sound(tmp_path / "data")


class TestWithoutNetwork:
    def test_says_which_files_go_where(self, fetched, entry, tmp_path):
        with pytest.raises(DataError) as error:
            fetched(offline(entry))
        text = str(error.value)
        for file in entry.files:
            assert f"{OFFLINE}/{file.name}\n    as {file.name}" in text
        assert f"into {tmp_path / 'data'}:" in text
        assert f"dermseg data verify {tmp_path / 'data'}" in text

    def test_stops_at_the_first_file(self, fetched, entry):
        with pytest.raises(DataError) as error:
            fetched(offline(entry))
        assert str(error.value).count("cannot be downloaded") == 1

    def test_archives_brought_by_hand_are_checked_and_unpacked(self, fetched, entry, server, tmp_path):
        (tmp_path / "data").mkdir()
        for file in entry.files:
            (tmp_path / "data" / file.name).write_bytes(server.files[file.name])
        fetched(offline(entry))
        assert sound(tmp_path / "data")
        assert server.ranges == []

    def test_a_wrong_archive_brought_by_hand_is_named_and_kept(self, fetched, entry, tmp_path):
        (tmp_path / "data").mkdir()
        mine = tmp_path / "data" / entry.files[0].name
        mine.write_bytes(b"something else")
        with pytest.raises(DataError, match=rf"{mine.name} is not the official file.*move it away"):
            fetched()
        assert mine.read_bytes() == b"something else"

    def test_a_table_brought_by_hand_is_checked_too(self, fetched, entry, server, tmp_path):
        listed = replace(entry, files=(*entry.files, server.offer("table.csv", b"a,b")))
        (tmp_path / "data").mkdir()
        mine = tmp_path / "data" / "table.csv"
        mine.write_bytes(b"a,c")
        with pytest.raises(DataError, match=r"table\.csv is not the official file.*move it away"):
            fetched(listed)
        assert mine.read_bytes() == b"a,c"
        mine.write_bytes(b"a,b")
        fetched(listed)
        assert mine.read_bytes() == b"a,b"


class TestSomeFilesFail:
    def test_the_others_arrive_and_a_later_run_completes(self, fetched, entry, server, tmp_path):
        content = server.files.pop(entry.files[0].name)
        with pytest.raises(
            DataError, match=r"Training_Input\.zip cannot be downloaded: .* answers 404"
        ) as error:
            fetched()
        assert str(error.value).count("    as ISIC2018") == 1
        assert len([path for path in (tmp_path / "data").iterdir() if path.name.startswith("ISIC2018")]) == 5
        server.files[entry.files[0].name] = content
        fetched()
        assert sound(tmp_path / "data")

    def test_an_archive_that_lacks_images_is_named(self, fetched, entry, server):
        short = archive_of("x", ["a.png"])
        files = (server.offer(entry.files[0].name, short, images=3), *entry.files[1:])
        with pytest.raises(DataError, match=r"Training_Input\.zip lacks some of its 3 images"):
            fetched(replace(entry, files=files))

    def test_a_folder_of_the_users_is_not_touched(self, fetched, tmp_path):
        folder = tmp_path / "data" / "ISIC2018_Task1-2_Training_Input"
        folder.mkdir(parents=True)
        (folder / "mine.jpg").write_bytes(b"mine")
        with pytest.raises(
            DataError, match=r"Training_Input holds 1 images instead of 3; move it away"
        ) as error:
            fetched()
        assert (folder / "mine.jpg").read_bytes() == b"mine"
        assert "Fetch by hand" not in str(error.value)

    def test_a_server_that_is_down(self, fetched, server):
        server.script = [status(500)] * 9
        with pytest.raises(DataError, match=r"answers 500.*without progress"):
            fetched()


class TestKills:
    """Whatever moment a run ends at, the next one completes it."""

    @pytest.mark.parametrize("name", ["fetch", "unpack", "matches"])
    @pytest.mark.parametrize("after", [False, True])
    def test_between_the_steps(self, fetched, entry, server, tmp_path, monkeypatch, name, after):
        (tmp_path / "data").mkdir()
        by_hand = entry.files[1]
        (tmp_path / "data" / by_hand.name).write_bytes(server.files[by_hand.name])
        step = getattr(module, name)

        def dies(*arguments: object) -> object:
            if after:
                step(*arguments)
            raise KeyboardInterrupt

        monkeypatch.setattr(module, name, dies)
        with pytest.raises(KeyboardInterrupt):
            fetched()
        monkeypatch.setattr(module, name, step)
        fetched()
        assert sound(tmp_path / "data")


def test_only_one_run_writes_to_a_folder(fetched, tmp_path):
    fetched()
    with (
        FileLock(tmp_path / "data" / ".dermseg" / "lock"),
        pytest.raises(DataError, match="another `dermseg"),
    ):
        fetched()


def test_a_set_that_needs_registration_is_explained(capsys: pytest.CaptureFixture[str], tmp_path):
    assert main(["data", "download", "ph2", "--out", str(tmp_path / "ph2")]) == 2
    told = capsys.readouterr().err
    assert "https://www.fc.up.pt" in told
    assert f"{tmp_path / 'ph2'} holds the folder `PH2 Dataset images`" in told
    assert "Traceback" not in told
    assert not (tmp_path / "ph2").exists()


def test_your_own_images_are_explained(capsys: pytest.CaptureFixture[str]):
    assert main(["data", "download", "folder"]) == 2
    assert "data/folder/images" in capsys.readouterr().err


def test_a_name_that_is_not_in_the_catalogue(capsys: pytest.CaptureFixture[str]):
    assert main(["data", "download", "isic2081"]) == 2
    assert "did you mean isic2018" in capsys.readouterr().err


@pytest.mark.slow
def test_a_process_that_is_killed_again_and_again_ends_with_the_whole_data_set(entry, server, tmp_path):
    """Kill each run soon after it has changed something on the disk, until one ends by itself."""
    server.pace = 0.03
    data = tmp_path / "data"
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\nfrom rich.console import Console\n"
        "from dermseg.data.catalogue.entries import Entry, RemoteFile\n"
        "from dermseg.data.download import download\n"
        f"download({entry!r}, Path({str(data)!r}), Console(stderr=True))"
    )

    def on_disk() -> set[tuple[Path, int]]:
        # What vanishes while it is looked at has changed.
        with suppress(FileNotFoundError):
            return {(path, path.stat().st_size) for path in data.rglob("*")}
        return set()

    delays, kills, status_of_the_last = random.Random(0), 0, None
    while status_of_the_last is None:
        before = on_disk()
        process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
        while process.poll() is None and on_disk() == before:
            time.sleep(0.002)
        time.sleep(0.05 * delays.random())
        status_of_the_last = process.poll()
        process.kill()
        process.wait()
        kills += status_of_the_last is None
    assert status_of_the_last == 0
    assert kills > 5
    assert sound(data)
