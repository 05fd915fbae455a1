"""Builds that are interrupted, killed, run twice at once, or run out of room."""

import pickle
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from small_pairs import SIZE, find

from dermseg.data import building, storage
from dermseg.data.cache import prepare
from dermseg.data.pairs import Pair
from dermseg.errors import DataError

KILLED = textwrap.dedent(
    """
    # Builds the same cache again and again, each time in a process that is killed a few lines of code later
    # than the one before, until one comes through. Lines are those of the modules that write.
    import os, pickle, signal, sys
    from pathlib import Path
    from dermseg import files
    from dermseg.data import building, cache, storage

    traced = {module.__file__ for module in (building, cache, files, storage)}
    pairs = pickle.loads(Path(sys.argv[1]).read_bytes())

    def build_until(limit, directory):
        left = limit

        def trace(frame, event, _):
            nonlocal left
            if frame.f_code.co_filename not in traced:
                return None
            if event == "line":
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        cache.prepare(pairs, 16, directory, workers=1)
        os._exit(0)

    folder = Path(sys.argv[2])
    folder.mkdir()
    through = False
    number = 0
    while not through:
        # In a folder of its own, and in one that goes on from kill to kill.
        for directory in (folder / "again", folder / f"{number:03}"):
            child = os.fork()
            if child == 0:
                build_until(1 + int(sys.argv[3]) * number, directory)
            _, status = os.waitpid(child, 0)
            through = status == 0
            assert through or os.WTERMSIG(status) == signal.SIGKILL
        number += 1
    """
)


class TestInterruption:
    def interrupt(self, directory: Path, pairs: list[Pair], monkeypatch, after: int) -> None:
        """Build until `after` pairs are written, then fail as Ctrl-C does."""
        decode_all = building.decoded

        def cut(*arguments):
            for number, result in enumerate(decode_all(*arguments)):
                if number == after:
                    raise KeyboardInterrupt
                yield result

        with monkeypatch.context() as patch:
            patch.setattr(building, "decoded", cut)
            with pytest.raises(KeyboardInterrupt):
                prepare(pairs, SIZE, directory)
        assert not list(directory.glob("*/index.json"))

    @pytest.mark.parametrize("after", [0, 1, 5])
    def test_goes_on_from_the_last_pair(self, tmp_path, pairs, decoded, monkeypatch, after):
        expected = prepare(pairs, SIZE, tmp_path / "whole")
        pairs[0].image.write_bytes(b"")
        self.interrupt(tmp_path / "cache", pairs, monkeypatch, after)
        decoded.clear()
        cache = prepare(pairs, SIZE, tmp_path / "cache")
        assert len(decoded) == 7 - after
        assert [problem.path for problem in cache.problems] == [pairs[0].image]
        np.testing.assert_array_equal(cache.images, expected.images[1:])
        np.testing.assert_array_equal(cache.masks, expected.masks[1:])

    @pytest.mark.parametrize("damage", [b'{"identifier": "p3", "hei', b"\0\xff{\n{}}\n"])
    def test_torn_writes_are_dropped(self, tmp_path, pairs, monkeypatch, damage):
        expected = prepare(pairs, SIZE, tmp_path / "whole")
        directory = tmp_path / "cache"
        self.interrupt(directory, pairs, monkeypatch, 3)
        for name, torn in (("images.npy", b"\7" * 1000), ("building.jsonl", damage)):
            with find(directory, name).open("ab") as file:
                file.write(torn)
        cache = prepare(pairs, SIZE, directory)
        np.testing.assert_array_equal(cache.images, expected.images)
        np.testing.assert_array_equal(cache.masks, expected.masks)

    @pytest.mark.parametrize(("size", "kept"), [(200, 2), (130, 0)])
    def test_lost_pixels_are_decoded_again(self, tmp_path, pairs, decoded, monkeypatch, size, kept):
        """After a power failure the journal may have reached the disk when the pixels had not."""
        expected = prepare(pairs, SIZE, tmp_path / "whole")
        self.interrupt(tmp_path / "cache", pairs, monkeypatch, 3)
        with find(tmp_path / "cache", "masks.npy").open("r+b") as file:
            file.truncate(size)
            file.truncate(1000)
        decoded.clear()
        cache = prepare(pairs, SIZE, tmp_path / "cache")
        assert len(decoded) == 7 - kept
        assert cache.checksum == expected.checksum
        np.testing.assert_array_equal(cache.masks, expected.masks)

    def test_other_files_begin_for_themselves(self, tmp_path, pairs, decoded, monkeypatch):
        self.interrupt(tmp_path / "cache", pairs, monkeypatch, 3)
        decoded.clear()
        prepare(pairs[1:], SIZE, tmp_path / "cache")
        assert len(decoded) == 6

    @pytest.mark.parametrize(("count", "lines"), [(3, 37), pytest.param(7, 11, marks=pytest.mark.slow)])
    def test_kill_at_any_point_loses_nothing(self, tmp_path, pairs, decoded, count, lines):
        """Killed anywhere in its own code, a build leaves no false cache, and the next one goes on."""
        pairs = pairs[:count]
        pairs[2].image.write_bytes(b"")
        expected = prepare(pairs, SIZE, tmp_path / "whole")
        (tmp_path / "pairs").write_bytes(pickle.dumps(pairs))
        command = [sys.executable, "-c", KILLED, tmp_path / "pairs", tmp_path / "killed", str(lines)]
        subprocess.run(command, check=True)
        directories = sorted((tmp_path / "killed").iterdir())
        found = set()
        for directory in directories:
            journals = list(directory.glob("*/building.jsonl"))
            done = sum(journal.read_bytes().count(b"\n") for journal in journals)
            complete = any(directory.glob("*/index.json"))
            found.add((done, complete))
            decoded.clear()
            cache = prepare(pairs, SIZE, directory, verify=True)
            assert len(decoded) == (0 if complete else count - done)
            assert (cache.checksum, cache.problems) == (expected.checksum, expected.problems)
            np.testing.assert_array_equal(cache.images, expected.images)
            np.testing.assert_array_equal(cache.masks, expected.masks)
        # Kills came before, between and after the pairs.
        assert len({done for done, complete in found if not complete}) >= 3
        assert any(complete for _, complete in found)


def test_two_processes_decode_once_between_them(tmp_path, pairs):
    script = textwrap.dedent(
        """
        import pickle, sys
        from pathlib import Path
        from dermseg.data import cache, decoding
        count, decode = 0, decoding._decode

        def counted(*arguments):
            global count
            count += 1
            return decode(*arguments)

        decoding._decode = counted
        cache.prepare(pickle.loads(Path(sys.argv[1]).read_bytes()), 16, Path(sys.argv[2]))
        print(count)
        """
    )
    (tmp_path / "pairs").write_bytes(pickle.dumps(pairs))
    command = [sys.executable, "-c", script, tmp_path / "pairs", tmp_path / "cache"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert sorted(int(process.communicate()[0]) for process in processes) == [0, 7]


def test_who_waits_for_another_process_says_so(tmp_path, pairs, capsys):
    directory = prepare(pairs, SIZE, tmp_path / "cache").directory
    (directory / "index.json").unlink()
    with ThreadPoolExecutor(1) as pool:
        with FileLock(directory / "lock"):
            waiting = pool.submit(prepare, pairs, SIZE, tmp_path / "cache", progress=True)
            printed, deadline = "", time.monotonic() + 30
            while "Another process is preparing this cache" not in printed and time.monotonic() < deadline:
                time.sleep(0.02)
                printed += capsys.readouterr().err
            assert "waiting for it" in printed
            assert not waiting.done()
        assert waiting.result().directory == directory


def test_data_folder_may_be_read_only(tmp_path, pairs):
    (tmp_path / "data").chmod(0o555)
    before = sorted((tmp_path / "data").iterdir())
    prepare(pairs, SIZE, tmp_path / "cache")
    assert sorted((tmp_path / "data").iterdir()) == before
    (tmp_path / "data").chmod(0o755)


def test_unusable_directory_is_named(tmp_path, pairs):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file.* cannot hold the cache.*another folder"):
        prepare(pairs, SIZE, tmp_path / "file")


def test_full_disk_is_noticed_before_it_is_full(tmp_path, pairs, monkeypatch):
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(DataError, match="free space or name another folder"):
        prepare(pairs, SIZE, tmp_path / "cache")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read as Linux tells it")
def test_memory_is_bounded_for_large_photographs(tmp_path):
    """Pairs of 6000 x 4000 pixels, on as many threads as a large machine has, take less than 1 GiB."""
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    generator = np.random.default_rng(0)
    for index in range(12):
        small = Image.fromarray(generator.integers(0, 256, (40, 60, 3), dtype=np.uint8))
        small.resize((6000, 4000)).save(tmp_path / "images" / f"{index}.jpg")
        mask = np.zeros((4000, 6000), np.uint8)
        mask[1000:3000, 2000:4000] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / f"{index}.png")
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from dermseg.data.cache import prepare
        from dermseg.data.readers import read_collection
        pairs = read_collection(Path(sys.argv[1])).pairs
        assert len(prepare(pairs, 256, Path(sys.argv[2]), workers=12).identifiers) == 12
        # Not ru_maxrss, which begins with that of the process that started this one.
        status = Path("/proc/self/status").read_text().splitlines()
        print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
        """
    )
    command = [sys.executable, "-c", script, tmp_path, tmp_path / "cache"]
    kibibytes = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert kibibytes < 2**20
