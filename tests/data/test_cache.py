import json
import os
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
from PIL import Image

from dermseg.data import building
from dermseg.data import cache as module
from dermseg.data.cache import directory_for, prepare
from dermseg.data.images import read_image, read_mask, resize_image, resize_mask
from dermseg.data.pairs import Pair
from dermseg.errors import DataError

SIZE = 16


def make_pairs(folder: Path, count: int) -> list[Pair]:
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    pairs = []
    for index in range(count):
        pair = Pair(f"p{index}", folder / f"p{index}.png", folder / f"p{index}_mask.png")
        height, width = 20 + index, 30
        Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(pair.image)
        mask = np.zeros((height, width), np.uint8)
        mask[5 : 8 + index, 4:20] = 255
        Image.fromarray(mask).save(pair.mask)
        pairs.append(pair)
    return pairs


def find(directory: Path, name: str) -> Path:
    """A file of the one cache in a directory."""
    [path] = directory.glob(f"*/{name}")
    return path


def journaled(directory: Path) -> bool:
    return any(path.stat().st_size for path in directory.glob("*/building.jsonl"))


@pytest.fixture
def pairs(tmp_path):
    return make_pairs(tmp_path / "data", 7)


@pytest.fixture
def decoded(monkeypatch):
    """Identifiers in the order in which their pairs were decoded."""
    names: list[str] = []
    decode = building._decode

    def counted(pair: Pair, size: int):
        names.append(pair.identifier)
        return decode(pair, size)

    monkeypatch.setattr(building, "_decode", counted)
    return names


def test_rows_are_what_inference_makes_of_the_files(tmp_path, pairs):
    cache = prepare(pairs, SIZE, tmp_path / "cache")
    assert cache.identifiers == tuple(pair.identifier for pair in pairs)
    assert cache.original_sizes == tuple((20 + index, 30) for index in range(7))
    assert cache.images.shape == (7, SIZE, SIZE, 3)
    assert cache.images.dtype == cache.masks.dtype == np.uint8
    for row, pair in enumerate(pairs):
        np.testing.assert_array_equal(cache.images[row], resize_image(read_image(pair.image), SIZE))
        np.testing.assert_array_equal(cache.masks[row], resize_mask(read_mask(pair.mask), SIZE))


def test_broken_files_are_named_and_left_out(tmp_path, pairs):
    pairs[1].image.write_bytes(pairs[1].image.read_bytes()[:300])
    Image.new("L", (30, 22)).save(pairs[2].mask)
    Image.new("L", (5, 5), 255).save(pairs[3].mask)
    pairs[4].mask.unlink()
    cache = prepare(pairs, SIZE, tmp_path / "cache")
    assert cache.identifiers == ("p0", "p5", "p6")
    assert len(cache.images) == len(cache.masks) == 3
    np.testing.assert_array_equal(cache.images[1], resize_image(read_image(pairs[5].image), SIZE))
    reasons = {problem.path.name: problem.reason for problem in cache.problems}
    assert reasons.keys() == {"p1.png", "p2_mask.png", "p3_mask.png", "p4_mask.png"}
    assert "cannot be read" in reasons["p1.png"]
    assert "marks no lesion" in reasons["p2_mask.png"]
    assert reasons["p3_mask.png"].startswith("is 5 x 5 pixels but its image is 30 x 23")
    assert "does not exist" in reasons["p4_mask.png"]


def test_nothing_usable_is_an_error_that_says_why(tmp_path, pairs):
    for pair in pairs:
        pair.image.write_bytes(b"")
    with pytest.raises(DataError, match=r"None of the 7 pairs is usable.*p0\.png is empty.*and 4 more"):
        prepare(pairs, SIZE, tmp_path / "cache")
    with pytest.raises(DataError, match="None of the 0 pairs"):
        prepare([], SIZE, tmp_path / "cache")


class TestReuse:
    def test_unchanged_files_are_not_decoded_again(self, tmp_path, pairs, decoded):
        first = prepare(pairs, SIZE, tmp_path / "cache")
        assert sorted(decoded) == sorted(first.identifiers)
        assert prepare(pairs, SIZE, tmp_path / "cache") == first
        assert len(decoded) == 7

    def test_changed_file_is_noticed(self, tmp_path, pairs):
        before = prepare(pairs, SIZE, tmp_path / "cache")
        old = before.images[3].copy()
        Image.new("RGB", (30, 23), "red").save(pairs[3].image)
        after = prepare(pairs, SIZE, tmp_path / "cache")
        assert (after.images[3] == [255, 0, 0]).all()
        # A process that still has the old files mapped keeps what it had.
        np.testing.assert_array_equal(before.images[3], old)

    def test_touched_file_is_noticed(self, tmp_path, pairs, decoded):
        prepare(pairs, SIZE, tmp_path / "cache")
        os.utime(pairs[0].mask, (1, 1))
        prepare(pairs, SIZE, tmp_path / "cache")
        assert len(decoded) == 14

    @pytest.mark.parametrize("change", ["size", "pairs", "version"])
    def test_other_contents_are_built_anew(self, tmp_path, pairs, decoded, change, monkeypatch):
        prepare(pairs, SIZE, tmp_path / "cache")
        if change == "version":
            monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
        size, chosen = (SIZE * 2 if change == "size" else SIZE), (pairs[::-1] if change == "pairs" else pairs)
        cache = prepare(chosen, size, tmp_path / "cache")
        assert len(decoded) == 14
        assert cache.identifiers == tuple(pair.identifier for pair in chosen)
        assert cache.images.shape == (7, size, size, 3)

    def test_a_cache_in_use_outlives_a_change_of_the_files(self, tmp_path, pairs):
        before = prepare(pairs, SIZE, tmp_path / "cache")
        Image.new("RGB", (30, 23), "red").save(pairs[3].image)
        prepare(pairs, SIZE, tmp_path / "cache")
        # Mapped only now, as worker processes do.
        expected = resize_image(read_image(pairs[2].image), SIZE)
        np.testing.assert_array_equal(before.images[2], expected)
        assert not (before.images[3] == [255, 0, 0]).all()

    def test_a_folder_is_the_same_however_it_is_written(self, tmp_path, pairs, decoded, monkeypatch):
        prepare(pairs, SIZE, tmp_path / "cache")
        monkeypatch.chdir(tmp_path)
        relative = [
            Pair(pair.identifier, *(Path("cache/../data") / path.name for path in (pair.image, pair.mask)))
            for pair in pairs
        ]
        prepare(relative, SIZE, tmp_path / "cache")
        assert len(decoded) == 7

    def test_damaged_index_is_built_anew(self, tmp_path, pairs):
        prepare(pairs, SIZE, tmp_path / "cache")
        find(tmp_path / "cache", "index.json").write_text("{")
        assert len(prepare(pairs, SIZE, tmp_path / "cache").identifiers) == 7

    @pytest.mark.parametrize("name", ["images.npy", "masks.npy"])
    def test_damaged_pixels_are_built_anew(self, tmp_path, pairs, name):
        expected = np.array(prepare(pairs, SIZE, tmp_path / "cache").images)
        with find(tmp_path / "cache", name).open("r+b") as file:
            file.truncate(500)
        np.testing.assert_array_equal(prepare(pairs, SIZE, tmp_path / "cache").images, expected)


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

    def test_lost_pixels_begin_again(self, tmp_path, pairs, decoded, monkeypatch):
        """After a power failure the journal may have reached the disk when the pixels had not."""
        self.interrupt(tmp_path / "cache", pairs, monkeypatch, 3)
        with find(tmp_path / "cache", "masks.npy").open("r+b") as file:
            file.truncate(200)
        decoded.clear()
        prepare(pairs, SIZE, tmp_path / "cache")
        assert len(decoded) == 7

    def test_other_files_begin_for_themselves(self, tmp_path, pairs, decoded, monkeypatch):
        self.interrupt(tmp_path / "cache", pairs, monkeypatch, 3)
        decoded.clear()
        prepare(pairs[1:], SIZE, tmp_path / "cache")
        assert len(decoded) == 6

    def test_killed_process(self, tmp_path, pairs):
        """A process killed without notice leaves no cache that looks complete, and no lock."""
        script = textwrap.dedent(
            """
            import pickle, sys, time
            from pathlib import Path
            from dermseg.data import building, cache
            decode = building._decode
            building._decode = lambda pair, size: (time.sleep(0.3), decode(pair, size))[1]
            cache.prepare(pickle.loads(Path(sys.argv[1]).read_bytes()), 16, Path(sys.argv[2]), workers=1)
            """
        )
        (tmp_path / "pairs").write_bytes(pickle.dumps(pairs))
        directory = tmp_path / "cache"
        process = subprocess.Popen([sys.executable, "-c", script, tmp_path / "pairs", directory])
        deadline = time.monotonic() + 30
        while not journaled(directory) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
        process.wait()
        assert journaled(directory)
        assert not list(directory.glob("*/index.json"))
        assert len(prepare(pairs, SIZE, directory).identifiers) == 7


def test_two_at_once_decode_once(tmp_path, pairs, decoded):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: prepare(pairs, SIZE, tmp_path / "cache"), range(2))
    assert first == second
    assert len(decoded) == 7


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
    monkeypatch.setattr(building.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(DataError, match="free space or name another folder"):
        prepare(pairs, SIZE, tmp_path / "cache")


def test_pickle_holds_no_pixels(tmp_path, pairs):
    cache = prepare(pairs, SIZE, tmp_path / "cache")
    assert cache.images.size > 5000
    pickled = pickle.dumps(cache)
    assert len(pickled) < 2000
    np.testing.assert_array_equal(pickle.loads(pickled).images, cache.images)


def test_index_records_how_it_was_made(tmp_path, pairs):
    prepare(pairs, SIZE, tmp_path / "cache")
    index = json.loads(find(tmp_path / "cache", "index.json").read_text())
    assert (index["version"], index["size"], index["geometry"]) == (module.VERSION, SIZE, "squash")


def test_folders_tell_data_sets_and_sizes_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    folders = {directory_for(tmp_path / part / "ph2", size) for part in "ab" for size in (128, 256)}
    assert len(folders) == 4
    assert directory_for(tmp_path / "ph2", 8, Path("mine")).parent == Path("mine")
    assert all(folder.parent == tmp_path / "xdg" / "dermseg" / "data" for folder in folders)
