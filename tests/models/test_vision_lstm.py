from typing import Any

import pytest
import torch
from golden import Golden, golden, needs_reference
from torch import Tensor
from torch.nn import functional as F

from dermseg.errors import ConfigError
from dermseg.models.checkpoint import rename
from dermseg.models.released import load_released
from dermseg.models.vision_lstm import ViL

TAPS = {"pos_embed": "position", "block0": "blocks.0", "block1": "blocks.1", "block23": "blocks.23"}
ROUNDING = {"pos_embed": 3e-4, "block0": 3e-4, "block1": 3e-4, "block23": 0.1, "out": 1e-2}
"""Of the standard deviation. Blocks enlarge it: float64 differs by 0.06 after the last, at one place."""


@pytest.fixture(scope="module")
def released() -> Golden:
    return golden("vil")


def computed(data: Golden, salt: int) -> dict[str, Tensor]:
    """The recorded tensors, the classifier's scores among them, under one of the two sets of weights."""
    model: Any = ViL().eval()
    weights = data.state_dict(salt)
    assert load_released(model, weights).skipped == ("head.weight", "head.bias")
    seen: dict[str, Tensor] = {}
    for recorded, ours in {**TAPS, "tokens": "first_norm"}.items():
        model.get_submodule(ours).register_forward_hook(
            lambda _, __, output, recorded=recorded: seen.update({recorded: output})
        )
    with torch.no_grad():
        model(data.images(1, salt))
        tokens = seen.pop("tokens")
        pooled = model.norm((tokens[:, 0] + tokens[:, -1]) / 2)
        return seen | {"out": F.linear(pooled, weights["head.weight"], weights["head.bias"])}


@needs_reference
def test_as_many_parameters_as_released_less_the_classifier(released: Golden):
    count = sum(parameter.numel() for parameter in ViL().parameters())
    assert count == released.facts["n_params"] - 193 * 1000


@needs_reference
def test_tokens_and_scores_equal_the_release(released: Golden):
    for recorded, tensor in computed(released, salt=0).items():
        std = released.facts["outputs"][recorded]["std"]
        released.assert_close(tensor, recorded, ROUNDING[recorded] * std)


@needs_reference
def test_other_weights_and_images_give_the_recorded_statistics(released: Golden):
    for recorded, tensor in computed(released, salt=1).items():
        std = released.facts["heldout_outputs"][recorded]["std"]
        released.assert_statistics(tensor, recorded, ROUNDING[recorded] * std)


def small(**arguments: int) -> ViL:
    torch.manual_seed(0)
    return ViL(**({"width": 8, "depth": 2, "grid": 2} | arguments)).double()


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(16, 16), (32, 32), (48, 80)])
def test_features_are_a_map_at_a_sixteenth_of_the_size(height: int, width: int):
    features = small()(torch.randn(2, 3, height, width, dtype=torch.float64))
    assert features.shape == (2, height // 16, width // 16, 8)
    assert features.isfinite().all()


@torch.no_grad()
def test_patches_are_mapped_row_by_row_and_reach_every_place():
    model = small()
    image = torch.randn(1, 3, 32, 48, dtype=torch.float64)
    changed = image.clone()
    changed[:, :, 16:, 16:32] += 1
    tokens = [model.patch_embed(x).flatten(2) for x in (image, changed)]
    assert (tokens[0] != tokens[1]).any(1).nonzero()[:, 1].tolist() == [4]
    assert (model(image) != model(changed)).any(-1).all()


@torch.no_grad()
def test_without_blocks_in_the_other_direction_later_patches_stay_unseen():
    model = small(depth=1)
    image = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    changed = image.clone()
    changed[:, :, 16:, :16] += 1
    assert (model(image) != model(changed)).any(-1).flatten().tolist() == [False, False, True, True]


@torch.no_grad()
def test_depths_are_the_tokens_after_each_part_of_the_blocks():
    model = small(depth=6)
    images = torch.randn(2, 3, 32, 48, dtype=torch.float64)
    made: list[Tensor] = []
    for block in model.blocks:
        block.register_forward_hook(lambda *call: made.append(call[2]))
    first, second, third, last = model.depths(images, 4)
    for features, after in ((first, 1), (second, 3), (third, 4)):
        assert torch.equal(features.flatten(1, 2), made[after - 1])
    assert torch.equal(last, model(images))
    assert torch.equal(last.flatten(1, 2), model.norm(model.first_norm(made[5])))


def test_gradients_reach_every_parameter():
    model = small()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    model(torch.randn(1, 3, 32, 48, dtype=torch.float64)).square().sum().backward()
    assert all(parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_scales_kept_less_one_in_half_precision_lose_nothing_when_the_one_is_added(dtype: torch.dtype):
    model: Any = small()
    weights = {rename(key, model.release.names): value.to(dtype) for key, value in model.state_dict().items()}
    weights["legacy_norm.weight"] = torch.full((8,), 0.001, dtype=dtype)
    load_released(model, weights)
    assert torch.equal(model.first_norm.weight, 1 + weights["legacy_norm.weight"].double())


@pytest.mark.parametrize("wrong", [{"width": 6}, {"depth": 0}, {"grid": 0}])
def test_impossible_arguments_are_refused_by_name(wrong: dict[str, int]):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ViL(**wrong)
