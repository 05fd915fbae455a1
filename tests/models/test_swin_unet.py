from typing import Any, ClassVar

import pytest
import torch
from parity import ParityTester
from tester import ModelTester

from dermseg.errors import ConfigError
from dermseg.models import swin_unet
from dermseg.models.registry import create_model

SMALL = {"width": 16, "head_width": 8, "window": 2, "size": 64}
TAPS = {
    "hook:swin_unet.patch_embed": "encoder.patch_embed",
    "hook:swin_unet.layers.0": "encoder.merges.0",
    "hook:swin_unet.layers.2": "encoder.merges.2",
    "hook:swin_unet.layers.3": "encoder.stages.3",
    "hook:swin_unet.norm": "encoder.norm",
    "hook:swin_unet.layers_up.0": "decoder.0.expand",
    "hook:swin_unet.layers_up.1": "decoder.1.expand",
    "hook:swin_unet.layers_up.3": "decoder.2",
    "hook:swin_unet.norm_up": "norm",
}


class TestSwinUNet(ModelTester):
    name = "swin_unet"
    arguments: ClassVar[dict[str, Any]] = SMALL


class TestSwinUNetWhereWindowsDoNotDivideTheMaps(ModelTester):
    name = "swin_unet"
    arguments: ClassVar[dict[str, Any]] = {**SMALL, "window": 7, "depths": (1, 2, 1, 1)}


@pytest.mark.parity
class TestSwinUNetParity(ParityTester):
    name = recording = "swin_unet"
    taps: ClassVar = TAPS

    def tap(self, recorded, output):
        return super().tap(recorded, output).flatten(1, 2)


@pytest.mark.parity
class TestSwinUNet256Parity(TestSwinUNetParity):
    name = "swin_unet_256"
    recording = "swin_unet_256w8"


def test_blocks_of_one_resolution_drop_their_paths_alike():
    model = create_model("swin_unet", **SMALL, drop_path=0.7)
    rates = [[block.drop_path.p for block in stage] for stage in model.encoder.stages]
    assert [rate for stage in rates for rate in stage] == pytest.approx([0.1 * i for i in range(8)])
    assert [[block.drop_path.p for block in stage.blocks] for stage in model.decoder] == rates[2::-1]


def test_imagenet_weights_fill_the_encoder_and_the_blocks_of_the_decoder(monkeypatch):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    trained = timm.create_model("swin_tiny_patch4_window7_224").state_dict()
    monkeypatch.setattr(swin_unet, "timm_weights", lambda _: trained)
    loaded = {window: create_model("swin_unet", window=window, pretrained=True).eval() for window in (7, 8)}
    assert loaded[7].arguments == {"window": 7, "pretrained": True}

    theirs = timm.create_model("swin_tiny_patch4_window7_224", depths=(2, 2, 2, 2)).eval()
    theirs.load_state_dict(trained, strict=False)
    images = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        skips, coarsest = loaded[7].encoder(images)
        maps = [theirs.patch_embed(images)]
        maps += [theirs.layers[stage + 1].downsample(theirs.layers[: stage + 1](maps[0])) for stage in (0, 1)]
        for skip, expected in zip(skips, maps, strict=True):
            torch.testing.assert_close(skip, expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(coarsest, theirs.forward_features(images), atol=1e-5, rtol=1e-5)

    for model in loaded.values():
        for number, stage in enumerate(model.decoder):
            weight = stage.blocks[1].attention.qkv.weight
            assert torch.equal(weight, trained[f"layers.{2 - number}.blocks.1.attn.qkv.weight"])
    table = trained["layers.0.blocks.0.attn.relative_position_bias_table"]
    assert torch.equal(loaded[7].decoder[2].blocks[0].attention.bias_table, table)
    assert loaded[8].decoder[2].blocks[0].attention.bias_table.shape == (225, 3)

    with pytest.raises(ConfigError, match="keep the default sizes"):
        create_model("swin_unet", width=64, pretrained=True)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"window": 0}, "window"),
        ({"width": 40}, "width"),
        ({"depths": (2, 2, 2)}, "depths"),
        ({"depths": (2, 2, 0, 2)}, "depths"),
        ({"drop_path": 1.0}, "drop_path"),
        ({"size": 0}, "size"),
    ],
)
def test_impossible_sizes_are_refused_by_name(arguments, named):
    with pytest.raises(ConfigError, match=named):
        create_model("swin_unet", **arguments)
