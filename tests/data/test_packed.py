"""Masks of one bit per pixel behave as the array they stand for."""

import numpy as np
import pytest

from dermseg.data.packed import PackedMasks, packed_bytes


@pytest.fixture(params=[1, 5, 8, 16])
def masks(request):
    size = request.param
    return np.random.default_rng(size).integers(0, 2, (6, size, size), dtype=np.uint8)


@pytest.fixture
def packed(masks):
    return PackedMasks(np.packbits(masks.reshape(6, -1), axis=1), masks.shape[-1])


@pytest.mark.parametrize(
    "rows", [0, -1, np.int64(2), slice(1, 4), slice(None, None, -2), [5, 0, 0], np.array([3, 1]), []]
)
def test_rows_are_those_of_the_array(masks, packed, rows):
    np.testing.assert_array_equal(packed[rows], masks[rows])
    assert packed[rows].dtype == np.uint8


def test_it_has_the_shape_of_the_array_and_becomes_it(masks, packed):
    assert (packed.shape, packed.dtype, packed.ndim, len(packed)) == (masks.shape, masks.dtype, 3, 6)
    np.testing.assert_array_equal(np.asarray(packed), masks)
    np.testing.assert_array_equal(list(packed), masks)
    assert np.asarray(packed, bool).dtype == bool


def test_rows_beyond_the_end_are_refused(packed):
    with pytest.raises(IndexError):
        packed[6]


def test_a_mask_takes_an_eighth_of_its_pixels():
    assert [packed_bytes(size) for size in (1, 3, 8, 256)] == [1, 2, 8, 8192]
