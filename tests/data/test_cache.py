import json
import os
import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from dermseg.data import building, decoding, storage
from dermseg.data import cache as module
from dermseg.data.cache import directory_for, outdated, prepare
from dermseg.data.geometry import place
from dermseg.data.images import read_image, read_mask, resize_image, resize_mask
from dermseg.data.pairs import Pair
from dermseg.errors import ConfigError, DataError

SIZE = 16

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
                build_until(1 + 31 * number, directory)
            _, status = os.waitpid(child, 0)
            through = status == 0
            assert through or os.WTERMSIG(status) == signal.SIGKILL
        number += 1
    """
)


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


@pytest.fixture
def pairs(tmp_path):
    return make_pairs(tmp_path / "data", 7)


@pytest.fixture
def decoded(monkeypatch):
    """Identifiers in the order in which their pairs were decoded."""
    names: list[str] = []
    decode = decoding._decode

    def counted(pair: Pair, *arguments):
        names.append(pair.identifier)
        return decode(pair, *arguments)

    monkeypatch.setattr(decoding, "_decode", counted)
    return names


@pytest.mark.parametrize("geometry", ["squash", "fit", "crop"])
def test_rows_are_what_inference_makes_of_the_files(tmp_path, pairs, geometry):
    cache = prepare(pairs, SIZE, tmp_path / "cache", geometry=geometry)
    assert cache.identifiers == tuple(pair.identifier for pair in pairs)
    assert cache.original_sizes == tuple((20 + index, 30) for index in range(7))
    assert cache.images.shape == (7, SIZE, SIZE, 3)
    assert cache.masks.shape == (7, SIZE, SIZE)
    assert cache.images.dtype == cache.masks.dtype == np.uint8
    np.testing.assert_array_equal(cache.planes[3].transpose(1, 2, 0), cache.images[3])
    for row, pair in enumerate(pairs):
        np.testing.assert_array_equal(cache.images[row], resize_image(read_image(pair.image), SIZE, geometry))
        np.testing.assert_array_equal(cache.masks[row], resize_mask(read_mask(pair.mask), SIZE, geometry))
        assert cache.areas[row] == place(20 + row, 30, SIZE, geometry).target


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

    @pytest.mark.parametrize("change", ["size", "pairs", "version", "geometry"])
    def test_other_contents_are_built_anew(self, tmp_path, pairs, decoded, change, monkeypatch):
        prepare(pairs, SIZE, tmp_path / "cache")
        if change == "version":
            monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
        size, chosen = (SIZE * 2 if change == "size" else SIZE), (pairs[::-1] if change == "pairs" else pairs)
        geometry = "fit" if change == "geometry" else "squash"
        cache = prepare(chosen, size, tmp_path / "cache", geometry=geometry)
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

    @pytest.mark.parametrize("damage", ["torn", "no entries", "wrong entries", "other pixels"])
    def test_damaged_index_is_built_anew(self, tmp_path, pairs, decoded, damage):
        prepare(pairs, SIZE, tmp_path / "cache")
        path = find(tmp_path / "cache", "index.json")
        index = json.loads(path.read_text())
        if damage == "no entries":
            del index["entries"]
        elif damage == "wrong entries":
            index["entries"][0] = {"identifier": "p0", "height": "high"}
        else:
            index["entries"][0]["digest"] = "0"
        path.write_text("{" if damage == "torn" else json.dumps(index))
        path.with_name("fingerprints.npz").touch()  # what others keep beside a cache goes with it
        assert len(prepare(pairs, SIZE, tmp_path / "cache").identifiers) == 7
        assert len(decoded) == 14
        assert not path.with_name("fingerprints.npz").exists()

    @pytest.mark.parametrize("name", ["images.npy", "masks.npy"])
    def test_damaged_pixels_are_built_anew(self, tmp_path, pairs, name):
        expected = np.array(prepare(pairs, SIZE, tmp_path / "cache").images)
        with find(tmp_path / "cache", name).open("r+b") as file:
            file.truncate(500)
        np.testing.assert_array_equal(prepare(pairs, SIZE, tmp_path / "cache").images, expected)

    @pytest.mark.parametrize("name", ["images.npy", "masks.npy"])
    def test_changed_pixels_are_found_on_request(self, tmp_path, pairs, decoded, name):
        expected = prepare(pairs, SIZE, tmp_path / "cache")
        path = find(tmp_path / "cache", name)
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        decoded.clear()
        prepare(pairs, SIZE, tmp_path / "cache")
        assert not decoded
        cache = prepare(pairs, SIZE, tmp_path / "cache", verify=True)
        assert len(decoded) == 7
        assert cache == expected
        assert path.read_bytes() == whole
        prepare(pairs, SIZE, tmp_path / "cache", verify=True)
        assert len(decoded) == 7

    def test_outdated_caches_are_found(self, tmp_path, pairs):
        first = prepare(pairs, SIZE, tmp_path / "cache")
        prepare(pairs, SIZE, tmp_path / "cache", geometry="fit")
        assert outdated(first) == []
        os.utime(pairs[0].mask, (1, 1))
        second = prepare(pairs, SIZE, tmp_path / "cache")
        assert outdated(second) == [first.directory]


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

    def test_kill_at_any_point_loses_nothing(self, tmp_path, pairs, decoded):
        """Killed anywhere in its own code, a build leaves no false cache, and the next one goes on."""
        pairs[2].image.write_bytes(b"")
        expected = prepare(pairs, SIZE, tmp_path / "whole")
        (tmp_path / "pairs").write_bytes(pickle.dumps(pairs))
        subprocess.run([sys.executable, "-c", KILLED, tmp_path / "pairs", tmp_path / "killed"], check=True)
        directories = sorted((tmp_path / "killed").iterdir())
        assert len(directories) > 12
        found = set()
        for directory in directories:
            journals = list(directory.glob("*/building.jsonl"))
            done = sum(journal.read_bytes().count(b"\n") for journal in journals)
            complete = any(directory.glob("*/index.json"))
            found.add((done, complete))
            decoded.clear()
            cache = prepare(pairs, SIZE, directory, verify=True)
            assert len(decoded) == (0 if complete else 7 - done)
            assert (cache.checksum, cache.problems) == (expected.checksum, expected.problems)
            np.testing.assert_array_equal(cache.images, expected.images)
            np.testing.assert_array_equal(cache.masks, expected.masks)
        assert len({done for done, complete in found if not complete}) >= 5
        assert any(complete for _, complete in found)


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
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(DataError, match="free space or name another folder"):
        prepare(pairs, SIZE, tmp_path / "cache")


def test_pickle_holds_no_pixels(tmp_path, pairs):
    cache = prepare(pairs, SIZE, tmp_path / "cache")
    assert cache.images.size > 5000
    pickled = pickle.dumps(cache)
    assert len(pickled) < 2000
    np.testing.assert_array_equal(pickle.loads(pickled).images, cache.images)


def test_index_records_how_it_was_made(tmp_path, pairs):
    cache = prepare(pairs, SIZE, tmp_path / "cache", geometry="fit")
    index = json.loads(find(tmp_path / "cache", "index.json").read_text())
    assert (index["version"], index["size"], index["geometry"]) == (module.VERSION, SIZE, "fit")
    assert index["checksum"] == cache.checksum
    assert cache.geometry == "fit"
    first = index["entries"][0]
    assert (first["identifier"], first["height"], first["width"]) == ("p0", 20, 30)
    assert first["area"] == [2, 0, 11, 16]


def test_checksum_is_that_of_the_contents(tmp_path, pairs):
    checksum = prepare(pairs, SIZE, tmp_path / "cache").checksum
    elsewhere = make_pairs(tmp_path / "copy", 7)
    assert prepare(elsewhere, SIZE, tmp_path / "other").checksum == checksum
    assert prepare(pairs, SIZE, tmp_path / "cache", geometry="fit").checksum != checksum
    assert prepare(pairs[1:], SIZE, tmp_path / "cache").checksum != checksum


def test_lesions_outside_the_crop_leave_their_pair_out(tmp_path, pairs):
    mask = np.zeros((20, 30), np.uint8)
    mask[:, :4] = 255
    Image.fromarray(mask).save(pairs[0].mask)
    assert len(prepare(pairs, SIZE, tmp_path / "cache", geometry="fit").identifiers) == 7
    cache = prepare(pairs, SIZE, tmp_path / "cache", geometry="crop")
    assert [problem.path for problem in cache.problems] == [pairs[0].mask]
    assert "marks no lesion in the middle square" in cache.problems[0].reason


def test_unknown_geometry_and_size_are_refused(tmp_path, pairs):
    with pytest.raises(ConfigError, match="choose squash, fit, crop"):
        prepare(pairs, SIZE, tmp_path / "cache", geometry="stretch")
    with pytest.raises(ConfigError, match="size is 0"):
        prepare(pairs, 0, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


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


def test_folders_tell_data_sets_and_sizes_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    folders = {directory_for(tmp_path / part / "ph2", size) for part in "ab" for size in (128, 256)}
    assert len(folders) == 4
    assert directory_for(tmp_path / "ph2", 8, Path("mine")).parent == Path("mine")
    assert all(folder.parent == tmp_path / "xdg" / "dermseg" / "data" for folder in folders)
