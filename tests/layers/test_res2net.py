import pytest
import timm
import torch

from dermseg.errors import ConfigError
from dermseg.layers.res2net import Res2Net

SMALL = {"depths": (1, 1, 1, 1), "widths": (8, 16, 32, 64)}


@torch.no_grad()
def test_maps_are_at_an_eighth_a_sixteenth_and_a_thirty_second():
    encoder = Res2Net(**SMALL, pretrained=False)
    maps = encoder(torch.randn(2, 3, 64, 96))
    assert [tuple(x.shape) for x in maps] == [(2, 64, 8, 12), (2, 128, 4, 6), (2, 256, 2, 3)]
    assert encoder.channels == (64, 128, 256)


def test_the_classifier_is_not_built():
    names = [name for name, _ in Res2Net(**SMALL, pretrained=False).named_parameters()]
    assert not [name for name in names if "fc" in name]


def test_blocks_start_as_released_and_not_as_identities():
    encoder = Res2Net(**SMALL, pretrained=False)
    assert (encoder.backbone.layer4[0].bn3.weight == 1).all()


@pytest.mark.parametrize(("depths", "name"), [((3, 4, 6, 3), "res2net50d"), ((3, 4, 23, 3), "res2net101d")])
def test_imagenet_weights_are_asked_for_by_depth(monkeypatch, depths, name):
    asked = {}
    monkeypatch.setattr(timm, "create_model", lambda name, **given: asked.update(given, name=name))
    Res2Net(depths, (64, 128, 256, 512), pretrained=True)
    assert asked["name"] == name
    assert asked["pretrained"]


def test_weights_that_cannot_be_had_are_a_clear_error(monkeypatch):
    def unreachable(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(ConfigError, match=r"res2net50d cannot be had.*no network.*pretrained=False"):
        Res2Net((3, 4, 6, 3), (64, 128, 256, 512), pretrained=True)


@pytest.mark.parametrize(
    ("depths", "widths"), [((1, 1, 1, 1), (64, 128, 256, 512)), ((3, 4, 6, 3), (8, 16, 32, 64))]
)
def test_sizes_without_imagenet_weights_are_refused(depths, widths):
    with pytest.raises(ConfigError, match="pretrained=True needs"):
        Res2Net(depths, widths, pretrained=True)
