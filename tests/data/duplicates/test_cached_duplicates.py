"""What was found in a cache is kept beside it, and found again if that is damaged."""

import shutil

import numpy as np
import pytest
from PIL import Image

from dermseg.data.cache import prepare
from dermseg.data.duplicates import cached
from dermseg.data.readers import read_collection
from dermseg.data.synthetic import synthetic_collection


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Prepare five drawn pairs, the last a copy of the first, and look for near-duplicates once."""
    folder = tmp_path_factory.mktemp("data")
    first = synthetic_collection(folder, 4, 64, 0).pairs[0]
    for path in (first.image, first.mask):
        Image.open(path).rotate(90).save(path.with_name("turned.png"))
    cache = prepare(read_collection(folder).pairs, 64, folder / "cache")
    found = cached.cached_duplicates(cache)
    return cache, found, cache.directory / "fingerprints.npz"


def names_and_pairs(found):
    fingerprints, duplicates = found
    return [one.identifier for one in fingerprints], [(one.first, one.second) for one in duplicates]


def test_they_are_computed_once(kept, monkeypatch):
    cache, found, _ = kept
    assert names_and_pairs(found) == ([*cache.identifiers], [("synthetic-0-00000", "turned")])
    monkeypatch.setattr(cached, "near_duplicates", None)
    assert names_and_pairs(cached.cached_duplicates(cache)) == names_and_pairs(found)


WRONG = {
    "version": [np.array(-1), np.array([1, 1]), np.array("1"), np.array(None)],
    "thumbnails": [np.zeros((5, 64, 64)), np.zeros((4, 64, 64), np.uint8), np.array(0)],
    "pairs": [
        *(np.array(0), np.zeros((1, 3), int), np.array([[0, 5]]), np.array([[-1, 0]])),
        *(np.zeros((2, 2), int), np.array([["a", "b"]]), np.zeros((1, 2))),
    ],
    "correlations": [np.array(0.9), np.zeros(2), np.array(["x"])],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
def test_wrong_arrays_are_computed_anew(kept, name, value):
    cache, found, path = kept
    with np.load(path) as file:
        arrays = {**file}
    np.savez(path, **arrays | {name: value})
    assert names_and_pairs(cached.cached_duplicates(cache)) == names_and_pairs(found)
    with np.load(path) as file:
        assert all(np.array_equal(file[key], arrays[key]) for key in arrays)


@pytest.mark.parametrize("position", [0, 8, 10, 26, 30, 60, 130, 150, 300, -20, -40])
def test_damaged_bytes_are_computed_anew(kept, position):
    cache, found, path = kept
    whole = path.read_bytes()
    for damaged in (whole[:position], whole[:position] + b"\xff\xff" + whole[position:][2:]):
        path.write_bytes(damaged)
        assert names_and_pairs(cached.cached_duplicates(cache)) == names_and_pairs(found)


def test_what_cannot_be_kept_is_found_all_the_same(kept, tmp_path):
    cache, found, path = kept
    path.unlink()
    path.mkdir()
    try:
        assert names_and_pairs(cached.cached_duplicates(cache)) == names_and_pairs(found)
    finally:
        shutil.rmtree(path)
