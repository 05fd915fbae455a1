"""BCE-Dice against Eqs 17 and 18 written out pixel by pixel."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dermseg.errors import ConfigError
from dermseg.losses.bce_dice import BCEDiceLoss


def naive(logits, target, smooth):
    """Eqs 17 and 18 with loops over images and pixels."""
    bce, dice = [], []
    for image, mask in zip(logits.flatten(1).tolist(), target.flatten(1).tolist(), strict=True):
        probability = [1 / (1 + math.exp(-value)) for value in image]
        terms = [y * math.log(p) + (1 - y) * math.log(1 - p) for p, y in zip(probability, mask, strict=True)]
        bce.append(-sum(terms) / len(terms))
        overlap = sum(p * y for p, y in zip(probability, mask, strict=True))
        dice.append(1 - (2 * overlap + smooth) / (sum(probability) + sum(mask) + smooth))
    return sum(bce) / len(bce) + sum(dice) / len(dice)


def draw(batch, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(batch, 1, height, width, generator=generator, dtype=torch.float64)
    target = torch.rand(batch, 1, height, width, generator=generator) > 0.6
    return logits, target


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7), st.sampled_from([0.5, 1.0]))
def test_equals_the_equations(batch, height, width, smooth):
    logits, target = draw(batch, height, width)
    loss = BCEDiceLoss(smooth=smooth)(logits, target)
    assert loss.item() == pytest.approx(naive(logits, target.double(), smooth), rel=1e-12)


def test_gradient_is_that_of_the_loss():
    logits, target = draw(2, 3, 4)
    loss = BCEDiceLoss()
    assert torch.autograd.gradcheck(lambda values: loss(values, target), logits.requires_grad_())


def test_weights_scale_their_terms():
    logits, target = draw(2, 4, 4)
    both = BCEDiceLoss(2.0, 3.0)(logits, target)
    bce, dice = BCEDiceLoss(1.0, 0.0)(logits, target), BCEDiceLoss(0.0, 1.0)(logits, target)
    assert both.item() == pytest.approx(2 * bce.item() + 3 * dice.item())


def test_an_image_counts_the_same_in_any_batch():
    logits, target = draw(3, 5, 5)
    # A tiny lesion beside a large one: pooled Dice would nearly ignore it.
    target[0] = False
    target[0, 0, 2, 2] = True
    target[1] = True
    loss = BCEDiceLoss()
    alone = [loss(logits[i : i + 1], target[i : i + 1]).item() for i in range(3)]
    assert loss(logits, target).item() == pytest.approx(sum(alone) / 3)


def test_confident_logits_stay_finite():
    logits = torch.tensor([[[[200.0, -200.0], [200.0, -200.0]]]], requires_grad=True)
    right, wrong = torch.tensor([[[[1, 0], [1, 0]]]]), torch.tensor([[[[0, 1], [0, 1]]]])
    loss = BCEDiceLoss()
    assert loss(logits, right).item() == pytest.approx(0, abs=1e-6)
    error = loss(logits, wrong)
    error.backward()
    assert error.item() == pytest.approx(200 + 0.8, rel=1e-3)
    assert logits.grad.isfinite().all()


def test_an_empty_mask_still_pushes_the_prediction_down():
    logits = torch.zeros(1, 1, 4, 4, requires_grad=True)
    BCEDiceLoss(bce_weight=0)(logits, torch.zeros(1, 1, 4, 4)).backward()
    assert (logits.grad > 0).all()


def test_half_precision_logits_are_computed_in_float32():
    logits, target = draw(1, 64, 64)
    loss = BCEDiceLoss()(logits.bfloat16(), target)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(BCEDiceLoss()(logits.bfloat16().double(), target).item(), rel=1e-5)


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        BCEDiceLoss()(torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4))


@pytest.mark.parametrize(
    ("name", "value"),
    [("bce_weight", "abc"), ("dice_weight", -5), ("smooth", math.nan), ("bce_weight", True), ("pooled", 1)],
)
def test_impossible_weights_are_named(name, value):
    with pytest.raises(ConfigError, match=f"{name} must be"):
        BCEDiceLoss(**{name: value})


def test_pooled_dice_is_that_of_one_large_image():
    logits, target = draw(3, 5, 4)
    pooled = BCEDiceLoss(pooled=True)(logits, target)
    joined = BCEDiceLoss()(logits.reshape(1, 1, 15, 4), target.reshape(1, 1, 15, 4))
    assert pooled.item() == pytest.approx(joined.item())
    assert pooled.item() != pytest.approx(BCEDiceLoss()(logits, target).item(), rel=1e-3)
