"""What changes of images do to Dice."""

import numpy as np
import pytest
from PIL import Image

from dermseg.card.changes import Graded
from dermseg.card.robustness import measure_effects
from dermseg.data.pairs import Pair
from dermseg.inference.predictor import Predictor
from inference.fakes import dark_model, disc, lesion_image


@pytest.fixture
def cases(tmp_path):
    """Two images, each with a network that outlines them almost perfectly."""
    pairs = []
    for name, radius in (("a", 12), ("b", 20)):
        mask = disc(64, 64, radius)
        Image.fromarray(lesion_image(mask)).save(tmp_path / f"{name}.png")
        Image.fromarray(mask).save(tmp_path / f"{name}_mask.png")
        pairs.append(Pair(name, tmp_path / f"{name}.png", tmp_path / f"{name}_mask.png"))
    predictor = Predictor(dark_model())
    return [(predictor, pair) for pair in pairs]


def whitened(image, mask, level, generator):
    """Show nothing of the lesion."""
    return np.full_like(image, 255), mask


def hidden(image, mask, level, generator):
    """Leave no lesion in the mask of the smaller one."""
    return image, mask if mask.mean() > 0.2 else np.zeros_like(mask)


def drawing(image, mask, level, generator):
    """Whiten where chance says so."""
    return (np.full_like(image, 255) if generator.random() < level else image), mask


def test_an_effect_is_what_is_gained_over_the_unchanged_image(cases):
    changes = {"white": Graded(whitened, (1.0,), "all"), "hidden": Graded(hidden, (1.0, 2.0), "rest")}
    before, (white, one, other) = measure_effects(cases, changes)
    assert 0.95 < before <= 1
    assert (white.change, white.level, white.meaning, white.images) == ("white", 1.0, "all", 2)
    assert (white.dice, white.difference, white.movement) == pytest.approx((0, -before, before))
    # An image without lesion is not counted.
    assert (one.level, other.level, one.images) == (1.0, 2.0, 1)
    assert (one.difference, one.movement) == (0, 0)


def test_every_measurement_draws_the_same(cases):
    changes = {"draw": Graded(drawing, (0.5,), "share"), "again": Graded(drawing, (0.4, 0.6), "share")}
    assert measure_effects(cases, changes) == measure_effects(cases, changes)
