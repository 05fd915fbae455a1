"""The peer of the data benchmark gives what the cache gives, and both are counted alike."""

import sys
from pathlib import Path

import pytest
import torch

from dermseg.data.cache import prepare
from dermseg.data.dataset import CachedPairs
from dermseg.data.synthetic import synthetic_collection

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def feeding(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import feeding

    yield feeding
    sys.modules.pop("feeding", None)


@pytest.fixture
def collection(tmp_path):
    return synthetic_collection(tmp_path / "drawn", 5, 96, 0)


def test_raw_files_give_what_the_cache_gives(feeding, collection, tmp_path):
    cache = prepare(collection.pairs, 32, tmp_path / "cache")
    raw, cached = feeding.RawFiles(collection.pairs, 32), CachedPairs(cache, cache.identifiers)
    assert len(raw) == len(cached)
    for item in range(len(raw)):
        (image, mask), (ours, our_mask) = raw[item], cached[item]
        assert (image.int() - ours.int()).abs().max() <= 1
        assert (mask != our_mask).float().mean() < 0.03
        assert mask.dtype == our_mask.dtype == torch.uint8


@pytest.mark.parametrize("augmented", [False, True])
def test_images_are_counted_after_the_warm_up(feeding, collection, tmp_path, monkeypatch, augmented):
    monkeypatch.setattr(feeding, "WARM_UP", 2)
    cache = prepare(collection.pairs, 32, tmp_path / "cache")
    threads = torch.get_num_threads()
    images, seconds, cpu_seconds = feeding.feed(feeding.cached_loader(cache, 2), augmented, 0.05)
    torch.set_num_threads(threads)
    assert images % 2 == 0
    assert images > 0
    assert seconds > 0.05
    assert cpu_seconds > 0
