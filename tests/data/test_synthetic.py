import hashlib

import numpy as np
import pytest
from scipy import ndimage

from dermseg.data.images import read_image, read_mask
from dermseg.data.readers import read_collection
from dermseg.data.synthetic import draw_lesion, noise, synthetic_collection
from dermseg.errors import ConfigError


def drawn(index: int, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    return draw_lesion(size, np.random.default_rng([0, index]))


class TestDrawLesion:
    @pytest.mark.parametrize("size", [16, 65, 256])
    def test_any_size(self, size):
        image, mask = drawn(0, size)
        assert (image.shape, image.dtype) == ((size, size, 3), np.uint8)
        assert (mask.shape, mask.dtype) == ((size, size), np.dtype(bool))

    def test_same_seed_same_pixels(self):
        for first, second in zip(drawn(3), drawn(3), strict=True):
            np.testing.assert_array_equal(first, second)
        assert not np.array_equal(drawn(3)[0], drawn(4)[0])

    def test_same_lesion_at_another_size(self):
        for index in range(5):
            small, large = drawn(index, 64)[1], drawn(index, 128)[1][::2, ::2]
            assert (small & large).sum() / (small | large).sum() > 0.9

    def test_one_region_without_holes_of_varied_size(self):
        masks = [drawn(index)[1] for index in range(60)]
        for mask in masks:
            assert ndimage.label(mask)[1] == 1
            assert np.array_equal(ndimage.binary_fill_holes(mask), mask)
        areas = [mask.mean() for mask in masks]
        assert min(areas) < 0.08
        assert max(areas) > 0.35

    def test_lesions_are_darker_than_skin_sometimes_only_just(self):
        contrasts = []
        for index in range(60):
            image, mask = drawn(index)
            core = ndimage.binary_erosion(mask, iterations=2)
            around = ndimage.binary_dilation(mask, iterations=8) & ~ndimage.binary_dilation(
                mask, iterations=3
            )
            grey = image.mean(axis=2)
            contrasts.append(np.median(grey[around]) - np.median(grey[core]))
        assert min(contrasts) > 0
        # A quarter of the lesions in ISIC 2018 lie below 36, measured in this way.
        assert min(contrasts) < 36
        assert max(contrasts) > 80

    def test_skin_tones_vary(self):
        tones = [np.median(image[~mask], axis=0) for image, mask in map(drawn, range(60))]
        brightness = np.mean(tones, axis=1)
        assert brightness.min() < 90
        assert brightness.max() > 180
        assert all(red > blue for red, _, blue in tones if red < 150)


class TestCollection:
    def test_pairs_are_readable_and_exact(self, tmp_path):
        collection = synthetic_collection(tmp_path, 3, 32, seed=5)
        assert len(collection.pairs) == 3
        for index, pair in enumerate(collection.pairs):
            image, mask = draw_lesion(32, np.random.default_rng([5, index]))
            np.testing.assert_array_equal(read_image(pair.image), image)
            np.testing.assert_array_equal(read_mask(pair.mask), mask)
        assert read_collection(tmp_path).pairs == collection.pairs

    def test_same_seed_same_files(self, tmp_path):
        digests = [
            [hashlib.sha256(pair.image.read_bytes()).hexdigest() for pair in collection.pairs]
            for collection in (synthetic_collection(tmp_path / name, 2, 32, seed=1) for name in "ab")
        ]
        assert digests[0] == digests[1]

    def test_files_are_reused_and_added_to(self, tmp_path):
        first = synthetic_collection(tmp_path, 2, 32, seed=0)
        stamps = [pair.image.stat().st_mtime_ns for pair in first.pairs]
        first.pairs[1].mask.unlink()
        more = synthetic_collection(tmp_path, 3, 32, seed=0)
        assert more.pairs[:2] == first.pairs
        assert more.pairs[0].image.stat().st_mtime_ns == stamps[0]
        assert all(pair.mask.exists() for pair in more.pairs)

    @pytest.mark.parametrize("content", [b"", b"{", b"\xff"])
    def test_damaged_label_begins_again(self, tmp_path, content):
        first = synthetic_collection(tmp_path, 1, 32, seed=0)
        first.pairs[0].image.write_bytes(b"not drawn by this version")
        (tmp_path / "synthetic.json").write_bytes(content)
        assert read_image(synthetic_collection(tmp_path, 1, 32, seed=0).pairs[0].image).shape == (32, 32, 3)

    def test_other_settings_replace_what_was_drawn_and_nothing_else(self, tmp_path):
        synthetic_collection(tmp_path, 3, 32, seed=0)
        mine = tmp_path / "images" / "synthetic-mine.png"
        mine.write_bytes(b"mine")
        collection = synthetic_collection(tmp_path, 1, 48, seed=0)
        assert read_image(collection.pairs[0].image).shape == (48, 48, 3)
        assert sorted((tmp_path / "images").iterdir()) == [collection.pairs[0].image, mine]

    @pytest.mark.parametrize(("count", "size", "seed"), [(0, 64, 0), (1, 8, 0), (1, 10**6, 0), (1, 64, -1)])
    def test_impossible_settings_delete_nothing(self, tmp_path, count, size, seed):
        synthetic_collection(tmp_path, 1, 16, seed=5)
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(
            ConfigError, match=f"count={count} must.* size={size} from 16 to 8192, and seed={seed} at least 0"
        ):
            synthetic_collection(tmp_path, count, size, seed)
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("octaves", [1, 4])
def test_noise_has_the_same_shape_at_every_size(octaves):
    small, large = (noise(np.random.default_rng(0), size, 4, octaves) for size in (64, 128))
    assert abs(small.mean()) < 1e-5
    assert abs(small.std() - 1) < 1e-3
    reduced = large.reshape(64, 2, 64, 2).mean(axis=(1, 3))
    assert np.corrcoef(small.ravel(), reduced.ravel())[0, 1] > 0.99
