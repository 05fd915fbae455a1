"""Vision-LSTM as the encoder of XLSTM-VMUNet."""

import math
import re
from typing import Any, ClassVar

import pytest
import torch
from test_xlstm_vmunet import SMALL
from tester import ModelTester

from dermseg.errors import CheckpointError, ConfigError
from dermseg.models import vil_encoder
from dermseg.models.registry import create_model
from dermseg.models.released import load_released
from dermseg.models.vil_encoder import GRID, WIDTHS, ViLEncoder
from dermseg.models.vision_lstm import ViL


class TestViLTiny(ModelTester):
    """ViL-T of four blocks, one for each level."""

    name = "xlstm_vmunet"
    arguments: ClassVar[dict[str, Any]] = SMALL | {"encoder": "vil_tiny"}

    @pytest.fixture(autouse=True)
    def shallow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(vil_encoder, "DEPTH", 4)


@torch.no_grad()
@pytest.mark.parametrize("name", WIDTHS)
def test_maps_have_the_promised_widths_and_sizes(name: str):
    maps = ViLEncoder(name, (8, 16, 32, 64))(torch.randn(2, 3, 64, 96)).outputs
    assert [tuple(x.shape) for x in maps] == [
        (2, 16, 24, 8), (2, 8, 12, 16), (2, 4, 6, 32), (2, 2, 3, 64)
    ]  # fmt: skip


@torch.no_grad()
def test_each_level_is_read_off_deeper_than_the_finer_one():
    encoder = ViLEncoder("vil_tiny", (8, 16, 32, 64)).double().eval()
    images = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    before = encoder(images).outputs
    for number, reached in {0: 0, 5: 0, 6: 1, 11: 1, 12: 2, 17: 2, 18: 3, 23: 3}.items():
        block = encoder.backbone.blocks[number]
        kept, block.layer = block.layer, torch.nn.Identity()
        same = [torch.equal(x, y) for x, y in zip(encoder(images).outputs, before, strict=True)]
        block.layer = kept
        assert same == [level < reached for level in range(4)], number


@torch.no_grad()
def test_pixels_of_a_level_stay_where_their_token_is():
    encoder = ViLEncoder("vil_tiny", (8, 16, 32, 64)).double().eval()
    # Without blocks, positions and norms a token depends on its own 16x16 pixels alone.
    encoder.backbone.blocks = torch.nn.ModuleList(torch.nn.Identity() for _ in range(4))
    image = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    changed = image.clone()
    changed[:, :, 32:48, 16:32] += 1
    maps = [encoder(x).outputs for x in (image, changed)]
    for level, (before, after) in enumerate(zip(*maps, strict=True)):
        rows, columns = (before != after).any(-1)[0].nonzero().unbind(1)
        per_token = 4 / 2**level  # pixels along a side
        # Row 2 and column 1 of the tokens.
        assert (rows.min().item(), columns.min().item()) == (int(2 * per_token), int(per_token))
        assert (rows.max().item() + 1, columns.max().item() + 1) == (
            math.ceil(3 * per_token), math.ceil(2 * per_token)
        )  # fmt: skip


def classifier() -> dict[str, torch.Tensor]:
    """Entries of the authors' ViL-T: their names, positions of 14x14 patches, the head for 1000 classes."""
    weights = {"head.weight": torch.randn(1000, 192), "head.bias": torch.randn(1000)}
    for key, value in ViL(WIDTHS["vil_tiny"], grid=GRID).state_dict().items():
        for pattern, replacement in ViL.release.names:
            key = re.sub(pattern, replacement, key)
        weights[key] = torch.randn_like(value)
    return weights


def test_released_weights_fill_the_encoder_and_nothing_else():
    model = create_model("xlstm_vmunet", **SMALL, encoder="vil_tiny")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    weights = classifier()
    report = load_released(model, weights)
    after = model.state_dict()
    assert report.skipped == ("head.weight", "head.bias")
    assert set(report.loaded) == {key for key in after if key.startswith("encoder.backbone.")}
    assert set(report.loaded) | set(report.untouched) == set(after)
    assert not any(torch.equal(after[key], before[key]) for key in report.loaded)
    assert all(torch.equal(after[key], before[key]) for key in report.untouched)
    released = weights["blocks.7.layer.q_proj.weight"]
    assert torch.equal(after["encoder.backbone.blocks.7.layer.W_q.weight"], released)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"blocks.3.layer.skew": torch.zeros(1)}, r"unknown key blocks\.3\.layer\.skew"),
        ({"blocks.23.norm.weight": None}, r"missing key blocks\.23\.norm\.weight"),
        ({"pos_embed.embed": torch.zeros(1, 16, 16, 192)}, r"wrong shape of pos_embed\.embed .*14, 14"),
    ],
)
def test_other_weights_are_refused_by_name(change, message):
    weights = {key: value for key, value in (classifier() | change).items() if value is not None}
    with pytest.raises(CheckpointError, match=message):
        load_released(create_model("xlstm_vmunet", **SMALL, encoder="vil_tiny"), weights)


def test_there_is_no_download_and_the_way_to_weights_is_told():
    with pytest.raises(ConfigError, match="load_released"):
        create_model("xlstm_vmunet", **SMALL, encoder="vil_tiny", pretrained=True)
