"""Per-image overlap in validation."""

import pytest
import torch

from dermseg.evaluation.metrics import score
from dermseg.training.module import per_image_overlap


def test_overlap_equals_the_evaluators():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 1, 9, 7, generator=generator)
    masks = (torch.rand(4, 1, 9, 7, generator=generator) > 0.5).to(torch.uint8)
    dice, iou = per_image_overlap(logits, masks)
    for i in range(4):
        expected = score((logits[i, 0] > 0).numpy(), masks[i, 0].bool().numpy())
        assert dice[i].item() == pytest.approx(expected.dice)
        assert iou[i].item() == pytest.approx(expected.iou)


def test_empty_masks_and_outlines():
    empty, full = torch.full((1, 1, 2, 2), -1.0), torch.full((1, 1, 2, 2), 1.0)
    assert [x.item() for x in per_image_overlap(empty, torch.zeros(1, 1, 2, 2))] == [1, 1]
    assert [x.item() for x in per_image_overlap(empty, torch.ones(1, 1, 2, 2))] == [0, 0]
    assert [x.item() for x in per_image_overlap(full, torch.zeros(1, 1, 2, 2))] == [0, 0]
