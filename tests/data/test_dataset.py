import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from dermseg.data.cache import prepare
from dermseg.data.dataset import CachedPairs
from dermseg.data.synthetic import synthetic_collection
from dermseg.errors import DataError


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return prepare(synthetic_collection(folder, 4, 32, seed=0).pairs, 24, folder / "cache")


def test_items_are_those_of_the_identifiers_in_their_order(cache):
    names = (cache.identifiers[3], cache.identifiers[0])
    dataset = CachedPairs(cache, names)
    assert len(dataset) == 2
    for index, row in enumerate((3, 0)):
        image, mask = dataset[index]
        assert image.dtype == mask.dtype == torch.uint8
        np.testing.assert_array_equal(image.permute(1, 2, 0), cache.images[row])
        np.testing.assert_array_equal(mask[0], cache.masks[row])
        assert set(mask.unique().tolist()) == {0, 1}


def test_items_may_be_changed_without_changing_the_cache(cache):
    before = cache.images[0].copy()
    CachedPairs(cache, cache.identifiers)[0][0].zero_()
    np.testing.assert_array_equal(cache.images[0], before)


def test_unknown_identifiers_are_refused(cache):
    with pytest.raises(DataError, match=r"no usable pair for x, y.*Left out of the cache: nothing"):
        CachedPairs(cache, [*cache.identifiers, "x", "y"])


def test_worker_processes_read_the_same(cache):
    loader = DataLoader(CachedPairs(cache, cache.identifiers), batch_size=2, num_workers=1)
    images = torch.cat([images for images, _ in loader])
    np.testing.assert_array_equal(images.permute(0, 2, 3, 1), cache.images)
