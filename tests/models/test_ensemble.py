"""Several networks that answer as one."""

import pytest
import torch

from dermseg.errors import ConfigError
from dermseg.models.base import Preprocessing
from dermseg.models.ensemble import Ensemble, members_of
from dermseg.models.registry import create_model

SMALL = {"width": 8, "depths": (1, 1, 1, 1), "depths_decoder": (1, 1, 1, 1), "state": 2}


def network(seed, **overrides):
    torch.manual_seed(seed)
    return create_model("vm_unet", **SMALL | overrides).eval()


def test_the_logits_are_the_mean_of_the_members_at_any_size():
    first, second = network(0), network(1)
    ensemble = Ensemble([first, second]).eval()
    images = torch.randn(2, 3, 33, 47)
    with torch.no_grad():
        assert not torch.allclose(first(images), second(images), atol=1e-3)
        torch.testing.assert_close(ensemble(images), (first(images) + second(images)) / 2)


def test_members_pad_in_their_own_way():
    torch.manual_seed(0)
    networks = [create_model("fa_net", width=8).eval() for _ in range(2)]
    images = torch.randn(1, 3, 33, 47)
    with torch.no_grad():
        mean = (networks[0](images) + networks[1](images)) / 2
        torch.testing.assert_close(Ensemble(networks).eval()(images), mean)


def test_it_says_of_itself_what_its_members_say():
    first, second = network(0), network(1)
    first.threshold, second.threshold = 0.4, 0.5
    first.mirrors = True
    first.preprocessing = second.preprocessing = Preprocessing(size=64)
    ensemble = Ensemble([first, second])
    assert (ensemble.name, ensemble.arguments) == ("vm_unet", first.arguments)
    assert ensemble.threshold == pytest.approx(0.45)
    assert not ensemble.mirrors
    assert ensemble.preprocessing.size == 64
    assert ensemble.stride == first.stride


def test_what_its_members_cannot_it_cannot(monkeypatch):
    networks = [network(0), network(1)]
    for flag in ("compiles", "exports_to_onnx", "exports_any_size", "batch_independent"):
        monkeypatch.setattr(type(networks[0]), flag, False)
        assert not getattr(Ensemble(networks), flag)


def test_an_ensemble_among_the_networks_is_opened():
    networks = [network(seed) for seed in range(3)]
    assert Ensemble([Ensemble(networks[:2]), networks[2]]).members == networks
    assert members_of(networks[0]) == networks[:1]


def test_where_weights_began_is_no_difference():
    first, second = network(0), network(1)
    first.arguments["pretrained"] = True
    assert len(Ensemble([first, second]).members) == 2


@pytest.mark.parametrize(
    ("other", "told"),
    [({"width": 16}, "width 8.*width 16"), ({"state": 4}, "state 2.*state 4")],
)
def test_networks_of_two_forms_are_refused(other, told):
    with pytest.raises(ConfigError, match=told):
        Ensemble([network(0), network(1, **other)])


def test_networks_that_want_other_images_are_refused():
    other = network(1)
    other.preprocessing = Preprocessing(size=64)
    with pytest.raises(ConfigError, match=r"same preprocessing.*256.*64"):
        Ensemble([network(0), other])


def test_one_network_is_no_ensemble():
    with pytest.raises(ConfigError, match="at least two members, got 1"):
        Ensemble([network(0)])
