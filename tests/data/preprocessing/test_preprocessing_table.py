"""Preprocessing steps by name."""

import re

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


@pytest.mark.parametrize("step", ["shave", ["hair_removal"], 3])
def test_unknown_steps_are_answered_with_the_known_ones(step):
    message = f"no step {step!r}; choose from shades_of_grey, hair_removal"
    with pytest.raises(ConfigError, match=re.escape(message)):
        preprocess(np.zeros((2, 2, 3), np.uint8), [step])
