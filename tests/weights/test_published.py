"""The weights in this checkout: within their sizes, licensed, able to outline what they never saw."""

import json

import numpy as np
import pytest

from dermseg.card.markdown import write
from dermseg.card.sections import sections
from dermseg.data.synthetic import draw_lesion
from dermseg.files import read_json
from dermseg.inference.predictor import Predictor
from dermseg.models.weights import load_model, read_notes
from dermseg.weights import card_file, shipped, weight_file

MEBIBYTES = {"default": 16, "tiny": 1}
DICE = {"default": 0.8865, "tiny": 0.8754}
"""Of six drawn lesions, by the weights as published: no release may outline with them otherwise."""
ALL = pytest.mark.parametrize("name", sorted(shipped()))


@ALL
def test_the_file_is_as_small_as_promised(name):
    assert weight_file(name).stat().st_size <= MEBIBYTES[name] * 2**20


@ALL
def test_it_outlines_drawn_lesions(name):
    predictor = Predictor(load_model(name))
    dice = []
    for seed in range(6):
        image, mask = draw_lesion(192, np.random.default_rng(seed))
        outline = predictor.predict(image).mask
        dice.append(2 * (outline & mask).sum() / (outline.sum() + mask.sum()))
    assert np.mean(dice) == pytest.approx(DICE[name], abs=0.002)


@ALL
def test_no_picture_of_a_patient_goes_with_it(name):
    assert '"fingerprints"' not in json.dumps(read_notes(name))


@ALL
def test_the_card_is_of_this_file_and_can_be_read(name):
    facts = read_json(card_file(name))
    assert facts is not None
    assert facts["file"]["sha256"] == shipped()[name]["sha256"]
    assert "CC BY-NC 4.0" in write(name, sections(facts))
