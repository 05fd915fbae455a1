"""The structure loss against its definition written out pixel by pixel."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dermseg.losses.structure import StructureLoss, border_weight


def naive_weight(mask):
    """1 + 5 |mean of 31 x 31 pixels, 0 beyond the edge, - own value|, by loops over pixels."""
    height, width = len(mask), len(mask[0])
    rows = []
    for i in range(height):
        row = []
        for j in range(width):
            window = [
                mask[y][x]
                for y in range(max(0, i - 15), min(height, i + 16))
                for x in range(max(0, j - 15), min(width, j + 16))
            ]
            row.append(1 + 5 * abs(sum(window) / 31**2 - mask[i][j]))
        rows.append(row)
    return rows


def naive(logits, target):
    losses = []
    for image, mask in zip(logits[:, 0].tolist(), target[:, 0].tolist(), strict=True):
        weight = naive_weight(mask)
        bce = overlap = total = 0.0
        for i, row in enumerate(image):
            for j, value in enumerate(row):
                p, y, w = 1 / (1 + math.exp(-value)), mask[i][j], weight[i][j]
                bce -= y * math.log(p) + (1 - y) * math.log(1 - p)
                overlap += w * p * y
                total += w * (p + y)
        losses.append(bce / (len(image) * len(image[0])) + 1 - (overlap + 1) / (total - overlap + 1))
    return sum(losses) / len(losses)


def draw(batch, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(batch, 1, height, width, generator=generator, dtype=torch.float64)
    target = torch.rand(batch, 1, height, width, generator=generator) > 0.6
    return logits, target


@settings(max_examples=20)
@given(st.integers(1, 3), st.integers(1, 20), st.integers(1, 35), st.integers(0, 9))
def test_equals_the_definition(batch, height, width, seed):
    logits, target = draw(batch, height, width, seed)
    assert StructureLoss()(logits, target).item() == pytest.approx(naive(logits, target.double()), rel=1e-10)


def test_gradient_is_that_of_the_loss():
    logits, target = draw(2, 3, 4)
    loss = StructureLoss()
    assert torch.autograd.gradcheck(lambda values: loss(values, target), logits.requires_grad_())


def test_pixels_at_the_border_of_the_lesion_weigh_most():
    mask = torch.zeros(1, 1, 96, 96)
    mask[..., 32:64, 32:64] = 1
    weight = border_weight(mask)[0, 0]
    assert weight[0, 0] == 1
    assert weight[48, 48] == pytest.approx(1)
    assert weight[48, 33] > 3
    assert weight[32, 32] == weight.max() < 6


def test_an_image_counts_the_same_in_any_batch():
    logits, target = draw(3, 5, 5)
    target[0] = False
    target[1] = True
    loss = StructureLoss()
    alone = [loss(logits[i : i + 1], target[i : i + 1]).item() for i in range(3)]
    assert loss(logits, target).item() == pytest.approx(sum(alone) / 3)


def test_confident_logits_stay_finite():
    logits = torch.tensor([[[[200.0, -200.0]]]], requires_grad=True)
    assert StructureLoss()(logits, torch.tensor([[[[1, 0]]]])).item() == pytest.approx(0, abs=1e-6)
    StructureLoss()(logits, torch.tensor([[[[0, 1]]]])).backward()
    assert logits.grad.isfinite().all()


def test_half_precision_logits_are_computed_in_float32():
    logits, target = draw(1, 64, 64)
    loss = StructureLoss()(logits.bfloat16(), target)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(StructureLoss()(logits.bfloat16().double(), target).item(), rel=1e-5)


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        StructureLoss()(torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4))
