"""What happens to a batch: views, losses, per-image overlap in validation."""

import pytest
import torch

from dermseg.data.augment import normalize
from dermseg.errors import ConfigError
from dermseg.evaluation.metrics import score
from dermseg.models.base import IMAGENET_MEAN, IMAGENET_STD, Outputs, SegmentationModel
from dermseg.training.arguments import TrainArguments
from dermseg.training.module import SegmentationTask, at_scale, per_image_overlap


class TwoHeads(SegmentationModel):
    """Two scaled copies of the red channel."""

    def __init__(self) -> None:
        super().__init__()
        self.gains = torch.nn.Parameter(torch.tensor([1.0, -2.0]))

    def forward_padded(self, images):
        return self.outputs_padded(images).logits

    def outputs_padded(self, images):
        red = images[:, :1]
        return Outputs(self.gains[0] * red, (self.gains[1] * red,))


def task(**fields) -> SegmentationTask:
    return SegmentationTask(TwoHeads(), TrainArguments(**fields))


def batch(size: int = 64):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, size, size), generator=generator, dtype=torch.uint8)
    return images, (images[:, :1] > 99).to(torch.uint8)


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


def test_without_deep_supervision_only_the_prediction_is_trained():
    trained = task(augment=False)
    images, masks = trained.views(*batch(), 0)
    trained.training_loss(images, masks).backward()
    assert [bool(x) for x in trained.network.gains.grad] == [True, False]


@pytest.mark.parametrize(("reduction", "share"), [("sum", 1.0), ("mean", 0.5)])
def test_deep_supervision_trains_every_head(reduction, share):
    trained = task(augment=False, deep_supervision=reduction)
    images, masks = trained.views(*batch(), 0)
    logits, (auxiliary,) = trained.network.outputs(normalize(images, IMAGENET_MEAN, IMAGENET_STD))
    expected = share * (trained.loss(logits, masks) + trained.loss(auxiliary, masks))
    assert trained.training_loss(images, masks).item() == pytest.approx(expected.item())


def test_the_steps_of_a_batch_go_through_the_scales_with_the_same_view():
    trained = task(scales=(0.5, 1.0, 1.5), size=64)
    views = [trained.views(*batch(), step) for step in range(6)]
    assert [images.shape[-1] for images, _ in views] == [32, 64, 96] * 2
    assert [masks.shape[-1] for _, masks in views] == [32, 64, 96] * 2
    resized = at_scale(*views[1], 1.5)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(resized, views[2], strict=True))
    # Corners are aligned: halved, they are not mixed with their neighbours.
    for smaller, original in zip(views[0], views[1], strict=True):
        torch.testing.assert_close(smaller[..., ::31, ::31], original[..., ::63, ::63].float())
    assert not torch.equal(views[1][0], views[4][0])


def test_seed_epoch_step_and_process_each_decide_the_view(monkeypatch):
    def view(seed=0, epoch=0, step=0, part=()):
        monkeypatch.setattr(SegmentationTask, "current_epoch", epoch)
        trained = task(seed=seed)
        trained.part = part
        return trained.views(*batch(), step)[0]

    assert torch.equal(view(), view())
    for other in ({"seed": 1}, {"epoch": 1}, {"step": 1}, {"part": (1,)}):
        assert not torch.equal(view(**other), view())


@pytest.mark.parametrize(("size", "scale", "side"), [(352, 0.75, 256), (352, 1.25, 448), (32, 0.1, 32)])
def test_scaled_sides_are_multiples_of_32(size, scale, side):
    images, masks = at_scale(torch.zeros(1, 3, size, size), torch.ones(1, 1, size, size), scale)
    assert images.shape == (1, 3, side, side)
    assert torch.equal(masks, torch.ones(1, 1, side, side))


def test_the_scale_of_one_changes_nothing():
    images, masks = batch()
    same_images, same_masks = at_scale(images, masks, 1.0)
    assert same_images is images
    assert same_masks is masks


def test_augmentation_takes_its_ranges():
    images, masks = batch()
    still = task(augmentation={"preset": "none", "hue": 0.1})
    _, moved = task().views(images, masks, 0)
    _, unmoved = still.views(images, masks, 0)
    assert torch.equal(unmoved, masks)
    assert not torch.equal(moved, masks)
    with pytest.raises(ConfigError, match=r"augmentation: .*twist"):
        task(augmentation={"twist": 1.0})
