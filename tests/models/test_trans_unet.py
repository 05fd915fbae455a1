from typing import Any, ClassVar

import pytest
import torch
from parity import ParityTester
from tester import ModelTester
from torch import Tensor

from dermseg.errors import CheckpointError, ConfigError
from dermseg.models import trans_unet
from dermseg.models.base import SegmentationModel
from dermseg.models.registry import create_model
from dermseg.models.released import load_released

SMALL = {
    "size": 64,
    "width": 32,
    "depths": (1, 1, 1),
    "token_width": 32,
    "layers": 2,
    "heads": 2,
    "decoder_widths": (32, 32, 16, 16, 8),
}
BODY = "transformer.embeddings.hybrid_model"


class TestTransUNet(ModelTester):
    name = "trans_unet"
    arguments: ClassVar[dict[str, Any]] = SMALL
    drop_path = False
    random = "dropout"

    def released(self, model: SegmentationModel) -> dict[str, Tensor]:
        """Part the joined attention, as the release has it."""
        weights = {}
        for key, value in super().released(model).items():
            parts = zip(("query", "key", "value"), value.chunk(3), strict=True) if ".qkv." in key else ()
            weights |= {key.replace("qkv", part): each for part, each in parts} or {key: value}
        return weights


@pytest.mark.parity
class TestTransUNetParity(ParityTester):
    name = recording = "trans_unet"
    taps: ClassVar = {
        f"hook:{BODY}.root": "resnet.stem",
        f"hook:{BODY}.body.block1": "resnet.stages.0",
        f"hook:{BODY}.body.block2": "resnet.stages.1",
        f"hook:{BODY}.body.block3": "resnet.stages.2",
        "hook:transformer.embeddings.patch_embeddings": "embed",
        "hook:transformer.encoder.layer.0": "blocks.0",
        "hook:transformer.encoder.layer.11": "blocks.11",
        "hook:transformer.encoder.encoder_norm": "norm",
        "hook:decoder.conv_more": "narrow",
        **{f"hook:decoder.blocks.{step}": f"decoder.{step}" for step in range(4)},
    }

    @pytest.mark.parametrize("part", ["query", "key", "value"])
    def test_a_lost_or_deformed_part_of_attention_is_named(self, data, model, part):
        lost = f"transformer.encoder.layer.3.attn.{part}.weight"
        weights = data.state_dict()
        with pytest.raises(CheckpointError, match=f"{lost} has "):
            load_released(model, weights | {lost: torch.zeros(7, 7, 7)})
        del weights[lost]
        with pytest.raises(CheckpointError, match=f"missing key {lost}"):
            load_released(model, weights)


@torch.no_grad()
def test_an_image_of_one_patch_needs_no_company():
    model, images = create_model("trans_unet", **SMALL).eval(), torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(model(images[:1]), model(images)[:1])


@torch.no_grad()
def test_position_embeddings_stretch_with_the_image():
    model = create_model("trans_unet", **SMALL).eval()
    model.positions.normal_()
    model.positions[:, :, 0] = torch.arange(16.0)
    added = []
    model.dropout.register_forward_pre_hook(lambda _, given: added.append(given[0]))
    model.embed.register_forward_hook(lambda _, __, made: torch.zeros_like(made))
    model(torch.randn(1, 3, 64, 64))
    model(torch.randn(1, 3, 112, 64))
    assert torch.equal(added[0], model.positions)
    expected = torch.linspace(0, 12, 7)[:, None] + torch.arange(4.0)
    torch.testing.assert_close(added[1][0, :, 0], expected.flatten())


@torch.no_grad()
def test_imagenet_weights_fill_all_but_the_decoder(monkeypatch):
    timm = pytest.importorskip("timm")
    arguments = {"embed_dim": 32, "depth": 2, "num_heads": 2}
    trained = timm.create_model("vit_base_r50_s16_224", num_classes=3, **arguments).state_dict()
    monkeypatch.setattr(trans_unet, "timm_weights", lambda _: dict(trained))
    sizes = {"token_width": 32, "layers": 2, "heads": 2, "decoder_widths": (8, 8, 8, 8, 8)}
    torch.manual_seed(0)
    model = create_model("trans_unet", size=224, pretrained=True, **sizes)
    torch.manual_seed(0)
    fresh = create_model("trans_unet", size=224, **sizes).state_dict()
    same = {key for key, value in model.state_dict().items() if torch.equal(value, fresh[key])}
    constant = {key for key, value in fresh.items() if value.numel() < 2 or not value.float().std()}
    decoder = {key for key in fresh if key.startswith(("narrow.", "decoder.", "head."))}
    assert same - constant == decoder - constant
    assert torch.equal(model.positions, trained["pos_embed"][:, 1:])
    assert torch.equal(model.blocks[1].attn.qkv.weight, trained["blocks.1.attn.qkv.weight"])
    last = "patch_embed.backbone.stages.2.blocks.8.conv3.weight"
    assert torch.equal(model.resnet.stages[2][8].conv3.weight, trained[last])
    assert model.preprocessing.mean == model.preprocessing.std == (0.5, 0.5, 0.5)

    larger = create_model("trans_unet", size=256, pretrained=True, **sizes)
    corners = [0, 15, 240, 255]
    torch.testing.assert_close(larger.positions[:, corners], trained["pos_embed"][:, [1, 14, 183, 196]])
    with pytest.raises(ConfigError, match="keep the default sizes"):
        create_model("trans_unet", pretrained=True, **(sizes | {"token_width": 64}))


def test_weights_begin_as_released():
    torch.manual_seed(0)
    model = create_model("trans_unet", **(SMALL | {"token_width": 128}))
    assert not model.positions.any()
    mlp = model.blocks[0].mlp
    assert mlp.fc1.weight.abs().max().item() == pytest.approx((6 / (128 + 512)) ** 0.5, rel=0.01)
    assert 0 < mlp.fc2.bias.std() < 1e-5


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"size": 250}, "size"),
        ({"width": 48}, "width"),
        ({"depths": (3, 4)}, "depths"),
        ({"heads": 5}, "heads"),
        ({"layers": 0}, "layers"),
        ({"decoder_widths": (8, 8, 8, 8)}, "decoder_widths"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_impossible_sizes_are_refused_by_name(arguments, named):
    with pytest.raises(ConfigError, match=named):
        create_model("trans_unet", **(SMALL | arguments))
