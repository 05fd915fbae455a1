from typing import Any, ClassVar

import pytest
import torch
from tester import ModelTester

from dermseg.errors import ConfigError, DermsegWarning
from dermseg.models.registry import create_model
from dermseg.training.arguments import TrainArguments
from dermseg.training.optimization import create_optimizer

SMALL = {
    "width": 16, "depths": (1, 1, 1, 1), "depths_decoder": (1, 1, 1, 1), "state": 4, "fusion_width": 16
}  # fmt: skip


class TestMultiLevel(ModelTester):
    name = "xlstm_vmunet"
    arguments: ClassVar[dict[str, Any]] = SMALL

    def test_compiles_to_one_graph(self) -> None:
        self.check_compiles()  # of all networks, the flagship in every run


class TestMultiLevelWithoutXLSTM(ModelTester):
    name = "xlstm_vmunet"
    arguments: ClassVar[dict[str, Any]] = SMALL | {"xlstm_layers": ""}


class TestMultiLevelS(ModelTester):
    name = "xlstm_vmunet"
    arguments: ClassVar[dict[str, Any]] = SMALL | {"xlstm_layers": "s"}


class TestMultiLevelM(ModelTester):
    name = "xlstm_vmunet"
    arguments: ClassVar[dict[str, Any]] = SMALL | {"xlstm_layers": "m"}


class TestMultiLevelOverTwoLevels(ModelTester):
    name = "xlstm_vmunet"
    arguments: ClassVar[dict[str, Any]] = SMALL | {"fusion_levels": 2}


class TestRows(ModelTester):
    name = "xlstm_vmunet"
    arguments: ClassVar[dict[str, Any]] = SMALL | {"fusion": "rows"}
    sizes: ClassVar = [*ModelTester.sizes, (32, 300)]


@pytest.mark.filterwarnings("ignore::dermseg.errors.DermsegWarning")
class TestReleased(ModelTester):
    name = "xlstm_vmunet"
    arguments: ClassVar[dict[str, Any]] = SMALL | {"fusion": "released"}
    export_size = 256
    square = (32, 256)
    sizes: ClassVar = [(32, 256), (64, 256), (33, 256)]
    usual_sizes: ClassVar = [(256, 256), (192, 256), (255, 256)]


class TestTimmEncoder(ModelTester):
    name = "xlstm_vmunet"
    arguments: ClassVar[dict[str, Any]] = SMALL | {"encoder": "test_resnet"}


class TestTimmEncoderRows(ModelTester):
    name = "xlstm_vmunet"
    arguments: ClassVar[dict[str, Any]] = SMALL | {"encoder": "test_efficientnet", "fusion": "rows"}


class TestShallowEncoder(ModelTester):
    name = "xlstm_vmunet"
    arguments: ClassVar[dict[str, Any]] = SMALL | {"encoder": "efficientnet_lite0_shallow"}


class TestHalfStage(ModelTester):
    name = "xlstm_vmunet"
    arguments: ClassVar[dict[str, Any]] = SMALL | {"encoder": "test_resnet", "half_width": 6}


class TestHalfStageOverShallowEncoder(ModelTester):
    name = "xlstm_vmunet"
    arguments: ClassVar[dict[str, Any]] = SMALL | {"encoder": "efficientnet_lite0_shallow", "half_width": 6}


def test_released_fusion_warns_that_images_influence_each_other():
    with pytest.warns(DermsegWarning, match="depend on the images before"):
        create_model("xlstm_vmunet", **SMALL, fusion="released")


@pytest.mark.filterwarnings("ignore::dermseg.errors.DermsegWarning")
@pytest.mark.parametrize("width", [224, 250, 512])
def test_released_fusion_takes_one_width_only(width):
    model = create_model("xlstm_vmunet", **SMALL, fusion="released")
    for call in (model, model.outputs):
        with pytest.raises(ConfigError, match="256 pixels wide"):
            call(torch.zeros(1, 3, 64, width))


@torch.no_grad()
@pytest.mark.parametrize("heads", [1, 4])
def test_heads_of_one_feature_take_one_small_image(heads):
    narrow = {"fusion_levels": 1, "fusion_width": heads, "heads": heads, "xlstm_layers": "s"}
    model = create_model("xlstm_vmunet", **(SMALL | narrow)).eval()
    assert model(torch.randn(1, 3, 16, 16)).isfinite().all()


@torch.no_grad()
@pytest.mark.filterwarnings("ignore::dermseg.errors.DermsegWarning")
@pytest.mark.parametrize("fusion", ["rows", "released"])
def test_without_xlstm_it_is_vm_unet(fusion):
    backbone = {key: value for key, value in SMALL.items() if key != "fusion_width"}
    plain = create_model("vm_unet", **backbone).eval()
    model = create_model("xlstm_vmunet", **SMALL, fusion=fusion, xlstm_layers="").eval()
    model.load_state_dict(plain.state_dict())
    images = torch.randn(2, 3, 32, 256)
    assert torch.equal(model(images), plain(images))


@torch.no_grad()
def test_multilevel_with_beta_0_is_the_network_without_xlstm():
    fused = create_model("xlstm_vmunet", **SMALL).eval()
    plain = create_model("xlstm_vmunet", **SMALL, xlstm_layers="").eval()
    plain.load_state_dict({key: fused.state_dict()[key] for key in plain.state_dict()})
    images = torch.randn(1, 3, 64, 64)
    assert (fused(images) - plain(images)).abs().max() > 1e-4
    fused.xlstm.beta.zero_()
    torch.testing.assert_close(fused(images), plain(images))


@torch.no_grad()
def test_every_level_reaches_the_decoder():
    model = create_model("xlstm_vmunet", **SMALL).eval()
    images = torch.randn(1, 3, 64, 64)
    logits = model(images)
    for level in range(4):
        alpha = model.xlstm.alpha[level].item()
        model.xlstm.alpha[level] = 0
        assert (model(images) - logits).abs().max() > 1e-3
        model.xlstm.alpha[level] = alpha


@torch.no_grad()
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_levels_finer_than_asked_for_reach_the_decoder_as_they_are(levels):
    model = create_model("xlstm_vmunet", **SMALL, fusion_levels=levels).eval()
    given, made = [], []
    model.encoder.register_forward_hook(lambda *call: given.extend(call[2].outputs))
    for stage in model.decoder.stages[1:]:
        stage.register_forward_pre_hook(lambda _, inputs: made.append(inputs[1]))
    model(torch.randn(1, 3, 64, 64))
    # The decoder goes from coarse to fine.
    same = [torch.equal(skip, level) for skip, level in zip(reversed(made), given[:3], strict=True)]
    assert same == [True] * (4 - levels) + [False] * (levels - 1)


def test_a_fixed_scale_stays_where_it_starts():
    model = create_model("xlstm_vmunet", **SMALL, learned_scale=False)
    optimizer = create_optimizer(model, TrainArguments(learning_rate=0.1))
    before = model.xlstm.back[0].weight.clone()
    model(torch.randn(2, 3, 32, 32)).square().mean().backward()
    optimizer.step()
    assert model.xlstm.alpha.tolist() == [1.0] * 4
    torch.testing.assert_close(model.xlstm.beta, torch.full((4,), 0.1))
    assert (model.xlstm.back[0].weight - before).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fusion": "levels"}, "multilevel, rows, released"),
        ({"heads": 5}, "heads"),
        ({"pretrained": True}, "timm"),
        ({"fusion_levels": 0}, "fusion_levels"),
        ({"fusion_levels": 5}, "fusion_levels"),
        ({"learned_scale": 1}, "learned_scale"),
        ({"encoder": "resnet18", "fusion": "released"}, "vssm"),
        ({"half_width": 8}, "begins at a quarter"),
        ({"half_width": 8, "encoder": "vil_tiny"}, "begins at a quarter"),
        ({"half_width": 8, "encoder": "test_resnet", "fusion": "rows"}, "multilevel"),
        ({"half_width": 7, "encoder": "test_resnet"}, "multiple of 2"),
        ({"half_width": 2, "encoder": "test_resnet"}, "at least 4"),
    ],
)
def test_impossible_arguments_are_refused_with_the_possible_ones(arguments, message):
    with pytest.raises(ConfigError, match=message):
        create_model("xlstm_vmunet", **(SMALL | arguments))


@pytest.mark.parametrize("fusion", ["multilevel", "rows", "released"])
@pytest.mark.parametrize(
    "wrong",
    [
        *({"xlstm_layers": layers} for layers in ("ms", None, 0, False)),
        *({"heads": heads} for heads in (0, -1)),
        *({"fusion_width": width} for width in (0, -4)),
    ],
)
def test_every_fusion_checks_the_same(fusion, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        create_model("xlstm_vmunet", **(SMALL | {"fusion": fusion} | wrong))
