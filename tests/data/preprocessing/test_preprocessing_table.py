"""Preprocessing steps by name."""

import numpy as np
import pytest

from dermseg.data.preprocessing.colour_constancy import shades_of_grey
from dermseg.data.preprocessing.table import PREPROCESSING, preprocess
from dermseg.errors import ConfigError


def test_steps_are_taken_in_order():
    image = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    assert preprocess(image, ()) is image
    np.testing.assert_array_equal(preprocess(image, ["shades_of_grey"]), shades_of_grey(image))
    both = PREPROCESSING["hair_removal"](shades_of_grey(image))
    np.testing.assert_array_equal(preprocess(image, ["shades_of_grey", "hair_removal"]), both)


def test_unknown_steps_are_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match="no step 'shave'; choose from shades_of_grey, hair_removal"):
        preprocess(np.zeros((2, 2, 3), np.uint8), ["shave"])
