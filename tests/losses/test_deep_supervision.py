"""One loss over several heads."""

import pytest
import torch

from dermseg.losses.bce_dice import BCEDiceLoss
from dermseg.losses.deep_supervision import DeepSupervision
from dermseg.models.base import Outputs


@pytest.fixture
def outputs() -> Outputs:
    logits = torch.randn(4, 2, 1, 5, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    return Outputs(logits[0], tuple(logits[1:]))


TARGET = (torch.arange(50).reshape(2, 1, 5, 5) % 3 == 0).float()


@pytest.mark.parametrize(("reduction", "share"), [("sum", 1.0), ("mean", 0.25)])
def test_all_heads_count_alike(outputs, reduction, share):
    loss = BCEDiceLoss()
    found = DeepSupervision(loss, reduction)(outputs, TARGET)
    heads = (outputs.logits, *outputs.auxiliary)
    assert found.item() == pytest.approx(share * sum(loss(head, TARGET).item() for head in heads))


def test_weights_halve_from_head_to_head_and_the_coarsest_has_none(outputs):
    loss = BCEDiceLoss()
    found = DeepSupervision(loss, "halving")(outputs, TARGET)
    fine, middle, coarse, _ = (loss(head, TARGET).item() for head in (outputs.logits, *outputs.auxiliary))
    assert found.item() == pytest.approx((fine + middle / 2 + coarse / 4) / 1.75)


def test_a_network_with_one_head_has_its_plain_loss(outputs):
    for reduction in ("sum", "mean", "halving"):
        found = DeepSupervision(BCEDiceLoss(), reduction)(Outputs(outputs.logits), TARGET)
        assert torch.equal(found, BCEDiceLoss()(outputs.logits, TARGET))


def test_another_reduction_is_refused():
    with pytest.raises(ValueError, match="'max'; choose one of mean, sum, halving"):
        DeepSupervision(BCEDiceLoss(), "max")
