import re
from typing import Any, ClassVar

import pytest
import torch
from residual_unets import OneNameEachParity, ResidualUNetParity
from tester import ModelTester
from torch import Tensor
from torch.nn import functional as F

from dermseg.errors import CheckpointError, ConfigError
from dermseg.models.registry import create_model
from dermseg.models.u_mamba import without_aliases

SMALL = {"widths": (4, 4, 4, 4, 8, 8, 16)}
ROUNDING = 5e-4  # of the standard deviation


class TestUMamba(ModelTester):
    name = "u_mamba"
    arguments: ClassVar[dict[str, Any]] = SMALL
    drop_path = False
    square = (128, 128)  # a coarsest map of one pixel would lose all contrast to its normalisation
    overfit_rate = 3e-3


@pytest.mark.parity
class TestUMambaParity(ResidualUNetParity):
    name = recording = "u_mamba"
    tap_precision = ROUNDING


@pytest.mark.parity
class TestUMambaParityUnderOneNameEach(OneNameEachParity):
    name = "u_mamba"
    recording = "u_mamba_canon"
    tap_precision = ROUNDING


@torch.no_grad()
def test_the_sigmoid_of_the_logits_is_the_softmax_of_lesion():
    model, scores = create_model("u_mamba", **SMALL).eval(), []
    model.heads[-1].register_forward_hook(lambda *call: scores.append(call[2]))
    logits = model(torch.randn(2, 3, 128, 64))
    torch.testing.assert_close(logits.sigmoid(), scores[0].softmax(1)[:, 1:])


@torch.no_grad()
def test_the_logits_of_coarser_heads_are_enlarged_bilinearly_fine_to_coarse():
    model, scores = create_model("u_mamba", **SMALL).eval(), []
    for head in model.heads[:-1]:
        head.register_forward_hook(lambda *call: scores.append(call[2]))
    _, auxiliary = model.outputs(torch.randn(1, 3, 128, 64))
    for found, (background, lesion) in zip(auxiliary, [maps[0] for maps in reversed(scores)], strict=True):
        expected = F.interpolate((lesion - background)[None, None], (128, 64), mode="bilinear")
        torch.testing.assert_close(found, expected)


FIRST = "encoder.stem.1.conv1.conv.bias"
TWICE = "decoder.stages.0.1.conv2.norm.bias"
ALIASES = [
    FIRST,
    "encoder.stem.1.conv1.all_modules.0.bias",
    "decoder.encoder.stem.1.conv1.conv.bias",
    "decoder.encoder.stem.1.conv1.all_modules.0.bias",
    TWICE,
    "decoder.stages.0.1.conv2.all_modules.1.bias",
]


def numbered(keys: list[str]) -> dict[str, Tensor]:
    return {key: torch.tensor(place) for place, key in enumerate(keys)}


def test_of_a_released_tensor_under_several_names_the_last_counts():
    single = "decoder.stages.0.0.conv2.bias"
    kept = without_aliases(numbered([*ALIASES, single]))
    assert kept == {FIRST: torch.tensor(3), TWICE: torch.tensor(5), single: torch.tensor(6)}


def test_a_released_tensor_under_its_first_name_alone_is_enough():
    weights = numbered([FIRST, TWICE])
    assert without_aliases(weights) == weights


@pytest.mark.parametrize("lost", ALIASES)
def test_a_lost_or_deformed_name_is_refused_while_others_are_there(lost: str):
    with pytest.raises(CheckpointError, match=f"missing key {re.escape(lost)}"):
        without_aliases(numbered([key for key in ALIASES if key != lost]))
    with pytest.raises(CheckpointError, match="wrong shape of "):
        without_aliases(numbered(ALIASES) | {lost: torch.zeros(2)})


def test_impossible_widths_are_refused_by_name():
    with pytest.raises(ConfigError, match="widths"):
        create_model("u_mamba", widths=(4, 4))
