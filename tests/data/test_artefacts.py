import numpy as np
import pytest

from dermseg.data.artefacts import add_bubbles, add_hair, add_ruler, add_vignette, draw_ink

ARTEFACTS = {
    "hair": lambda image, generator: add_hair(image, generator, 12),
    "ruler": add_ruler,
    "ink": lambda image, generator: draw_ink(len(image), generator).on(image),
    "bubbles": lambda image, generator: add_bubbles(image, generator, 6),
    "vignette": lambda image, generator: add_vignette(image, generator, hard=False),
    "field of view": lambda image, generator: add_vignette(image, generator, hard=True),
}


def grey(side: int = 96) -> np.ndarray:
    return np.full((side, side, 3), 0.6, np.float32)


@pytest.mark.parametrize("name", ARTEFACTS)
def test_changes_some_pixels_and_keeps_the_rest(name):
    for seed in range(10):
        image = grey()
        result = ARTEFACTS[name](image, np.random.default_rng(seed))
        changed = (np.abs(result - 0.6) > 0.02).any(axis=2).mean()
        assert 0.001 < changed < 0.75
        assert (result.shape, result.dtype) == (image.shape, np.float32)
        assert result.min() >= 0
        assert result.max() <= 1
        assert (image == np.float32(0.6)).all()


@pytest.mark.parametrize("name", ARTEFACTS)
def test_looks_the_same_at_any_size(name):
    small, large = (ARTEFACTS[name](grey(side), np.random.default_rng(2)) for side in (96, 192))
    reduced = large.reshape(96, 2, 96, 2, 3).mean(axis=(1, 3))
    assert np.corrcoef(small.ravel(), reduced.ravel())[0, 1] > 0.7


def test_vignette_is_darkest_in_the_corners():
    for hard in (False, True):
        result = add_vignette(grey(), np.random.default_rng(0), hard=hard)
        assert result[48, 48, 0] == pytest.approx(0.6, abs=0.01)
        assert result[[0, 0, -1, -1], [0, -1, 0, -1]].max() < 0.57
