"""What a cache holds, and when one is used again."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_pairs import SIZE, find, make_pairs

from dermseg.data import cache as module
from dermseg.data.cache import directory_for, outdated, prepare
from dermseg.data.geometry import place
from dermseg.data.images import read_image, read_mask, resize_image, resize_mask
from dermseg.data.pairs import Pair
from dermseg.errors import ConfigError, DataError


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


def test_a_checksum_of_some_images_is_that_of_a_cache_of_them(tmp_path, pairs):
    few, all_of_them = (
        prepare(chosen, SIZE, tmp_path / name) for chosen, name in ((pairs[2:5], "few"), (pairs, "all"))
    )
    assert all_of_them.checksum_of(few.identifiers) == few.checksum != all_of_them.checksum
    assert all_of_them.checksum_of(all_of_them.identifiers) == all_of_them.checksum


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

    @pytest.mark.parametrize("damage", ["torn", "no entries", "wrong entries", "no area", "other pixels"])
    def test_damaged_index_is_built_anew(self, tmp_path, pairs, decoded, damage):
        prepare(pairs, SIZE, tmp_path / "cache")
        path = find(tmp_path / "cache", "index.json")
        index = json.loads(path.read_text())
        if damage == "no entries":
            del index["entries"]
        elif damage == "wrong entries":
            index["entries"][0] = {"identifier": "p0", "height": "high"}
        elif damage == "no area":
            index["entries"][0]["area"][2] = 0
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
    @pytest.mark.parametrize("header", [b"\0" * 8, b"\x93NUMPY\1\0v\0{'descr': '|O', "])
    def test_damaged_headers_are_built_anew(self, tmp_path, pairs, name, header):
        expected = prepare(pairs, SIZE, tmp_path / "cache")
        images, masks = np.array(expected.images), np.array(expected.masks)
        with find(tmp_path / "cache", name).open("r+b") as file:
            file.write(header)
        cache = prepare(pairs, SIZE, tmp_path / "cache")
        np.testing.assert_array_equal(cache.images, images)
        np.testing.assert_array_equal(cache.masks, masks)

    def test_a_finished_cache_may_be_read_only(self, tmp_path, pairs, monkeypatch):
        expected = prepare(pairs, SIZE, tmp_path / "cache")

        def refused(*_, **__):
            raise PermissionError("read-only")

        # Not by its mode, which the tests' user may be free to pass over.
        for name in ("FileLock", "build"):
            monkeypatch.setattr(module, name, refused)
        monkeypatch.setattr(Path, "mkdir", refused)
        assert prepare(pairs, SIZE, tmp_path / "cache") == expected
        with pytest.raises(DataError, match="cannot hold the cache"):
            prepare(pairs[1:], SIZE, tmp_path / "cache")

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


def test_folders_tell_data_sets_and_sizes_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    folders = {directory_for(tmp_path / part / "ph2", size) for part in "ab" for size in (128, 256)}
    assert len(folders) == 4
    assert directory_for(tmp_path / "ph2", 8, Path("mine")).parent == Path("mine")
    assert all(folder.parent == tmp_path / "xdg" / "dermseg" / "data" for folder in folders)


def test_a_data_folder_may_have_the_longest_of_names(tmp_path):
    pairs = make_pairs(tmp_path / ("\u0635" * 127), 2)
    cache = prepare(pairs, SIZE, directory_for(pairs[0].image.parent, SIZE, tmp_path / "caches"))
    assert len(cache.identifiers) == 2
