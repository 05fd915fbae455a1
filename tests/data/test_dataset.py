import numpy as np
import pytest
import torch

from dermseg.data.cache import prepare
from dermseg.data.dataset import CachedPairs
from dermseg.data.synthetic import synthetic_collection
from dermseg.errors import DataError
from dermseg.training.loaders import validation_loader


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
    for index in (0, [0, 1]):
        for tensor in CachedPairs(cache, cache.identifiers)[index]:
            tensor.zero_()
    np.testing.assert_array_equal(cache.images[0], before)


def test_unknown_identifiers_are_refused(cache):
    with pytest.raises(DataError, match=r"no usable pair for x, y.*Left out of the cache: nothing"):
        CachedPairs(cache, [*cache.identifiers, "x", "y"])


def test_a_list_of_items_is_a_batch(cache):
    dataset = CachedPairs(cache, reversed(cache.identifiers))
    images, masks = dataset[[2, 0, 2]]
    assert (images.shape, masks.shape) == ((3, 3, 24, 24), (3, 1, 24, 24))
    assert images.dtype == masks.dtype == torch.uint8
    assert images.is_contiguous()
    for place, item in enumerate((2, 0, 2)):
        assert torch.equal(images[place], dataset[item][0])
        assert torch.equal(masks[place], dataset[item][1])


@pytest.mark.parametrize("index", [4, [0, 4]])
def test_items_beyond_the_end_are_refused(cache, index):
    with pytest.raises(IndexError):
        CachedPairs(cache, cache.identifiers)[index]


def test_worker_processes_read_the_same(cache):
    loader = validation_loader(CachedPairs(cache, cache.identifiers), 4, batch_size=2, workers=1)
    images, masks = (torch.cat(column) for column in zip(*loader, strict=True))
    np.testing.assert_array_equal(images.permute(0, 2, 3, 1), cache.images)
    np.testing.assert_array_equal(masks[:, 0], cache.masks)
