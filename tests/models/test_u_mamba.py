from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch
from golden import Golden, golden
from parity import ParityTester
from tester import ModelTester

from dermseg.errors import ConfigError
from dermseg.models.registry import create_model
from dermseg.models.u_mamba import without_aliases

SMALL = {"widths": (4, 4, 4, 4, 8, 8, 16)}
ROUNDING = 5e-4  # of the standard deviation
HEADS = {f"out{level}": f"heads.{5 - level}" for level in range(6)}


class TestUMamba(ModelTester):
    name = "u_mamba"
    arguments: ClassVar[dict[str, Any]] = SMALL
    drop_path = False
    square = (128, 128)  # a coarsest map of one pixel would lose all contrast to its normalisation
    overfit_rate = 3e-3


@pytest.mark.parity
class TestUMambaParity(ParityTester):
    name = recording = "u_mamba"
    outputs: ClassVar[dict[str, int]] = {}
    taps: ClassVar[dict[str, str]] = HEADS
    tap_precision = ROUNDING


@pytest.mark.parity
class TestUMambaParityUnderOneNameEach(ParityTester):
    name = "u_mamba"
    recording = "u_mamba_canon"
    outputs: ClassVar[dict[str, int]] = {}
    taps: ClassVar[dict[str, str]] = HEADS
    tap_precision = ROUNDING

    @pytest.fixture(scope="class")
    def data(self) -> Golden:
        data = golden(self.recording)
        aliases = {name for names in data.facts["aliases"].values() for name in names}
        entries = [entry for entry in data.facts["state_dict"] if entry[0] not in aliases]
        return replace(data, facts=data.facts | {"state_dict": entries})


@torch.no_grad()
def test_the_sigmoid_of_the_logits_is_the_softmax_of_lesion():
    model, scores = create_model("u_mamba", **SMALL).eval(), []
    model.heads[-1].register_forward_hook(lambda *call: scores.append(call[2]))
    logits = model(torch.randn(2, 3, 128, 64))
    torch.testing.assert_close(logits.sigmoid(), scores[0].softmax(1)[:, 1:])


def test_of_a_released_tensor_under_several_names_the_last_counts():
    names = ("conv1.conv.bias", "conv1.all_modules.0.bias")
    keys = [f"{owner}.stem.1.{name}" for owner in ("encoder", "decoder.encoder") for name in names]
    kept = without_aliases({key: torch.tensor(place) for place, key in enumerate(keys)})
    assert kept == {"encoder.stem.1.conv1.conv.bias": torch.tensor(3)}


def test_impossible_widths_are_refused_by_name():
    with pytest.raises(ConfigError, match="widths"):
        create_model("u_mamba", widths=(4, 4))
