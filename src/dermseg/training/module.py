"""The Lightning module: what happens to a batch in training and in validation."""

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from dermseg.data.augment import augment, normalize
from dermseg.losses.bce_dice import BCEDiceLoss
from dermseg.models.base import SegmentationModel
from dermseg.training.arguments import TrainArguments
from dermseg.training.optimization import learning_rate, parameter_groups

Batch = tuple[Tensor, Tensor]
"""Images uint8 (B, 3, S, S) and masks uint8 (B, 1, S, S), 0 or 1."""


class SegmentationTask(pl.LightningModule):
    """BCE-Dice on logits, AdamW, and per-image Dice on the validation images.

    Every random draw is a function of (seed, epoch, step). A run that is killed and resumed at an epoch
    therefore draws what the unbroken run draws, without any generator state being stored.

    Args:
        network: The network to train.
        arguments: Of the run.
    """

    def __init__(self, network: SegmentationModel, arguments: TrainArguments) -> None:
        super().__init__()
        self.network = network
        self.arguments = arguments
        self.loss = BCEDiceLoss()

    @override
    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """At the first step, seed the layers that draw (drop path) and set the epoch's learning rate.

        Not in `on_train_epoch_start`: Lightning leaves that hook out in the first epoch of a resumed run.
        """
        if batch_idx > 0:
            return
        torch.manual_seed(_mixed_seed(self.arguments.seed, self.current_epoch))
        a = self.arguments
        rate = learning_rate(
            self.current_epoch, a.epochs, a.learning_rate, a.minimum_learning_rate, a.warmup_epochs
        )
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate

    @override
    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Return the loss of a batch, augmented per image."""
        images, masks = batch
        if self.arguments.augment:
            generator = torch.Generator().manual_seed(
                _mixed_seed(self.arguments.seed, self.current_epoch, index)
            )
            images, masks = augment(images, masks, generator)
        loss: Tensor = self.loss(self(images), masks)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(images))
        return loss

    @override
    def validation_step(self, batch: Batch, index: int) -> None:
        """Log loss and per-image overlap of a batch at training size."""
        images, masks = batch
        logits = self(images)
        dice, iou = per_image_overlap(logits, masks)
        values = {"val_loss": self.loss(logits, masks), "val_dice": dice.mean(), "val_iou": iou.mean()}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(images))

    @override
    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (B, 1, S, S) of images uint8 (B, 3, S, S)."""
        preprocessing = self.network.preprocessing
        logits: Tensor = self.network(normalize(images, preprocessing.mean, preprocessing.std))
        return logits

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return AdamW; the learning rate is set at the start of each epoch."""
        groups = parameter_groups(self.network, self.arguments.weight_decay)
        # In mixed precision Lightning refuses to clip gradients for a fused optimizer.
        fused = self.arguments.precision == "32"
        return torch.optim.AdamW(groups, lr=self.arguments.learning_rate, fused=fused)


def per_image_overlap(logits: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Return Dice and IoU of each image at probability 0.5; an empty mask met by an empty outline scores 1.

    Args:
        logits: (B, 1, H, W).
        masks: (B, 1, H, W), 0 or 1.

    Returns:
        Dice and IoU, float32 (B,) each.
    """
    prediction = (logits > 0).flatten(1)
    target = (masks > 0).flatten(1)
    both = (prediction & target).sum(1).float()
    total = (prediction.sum(1) + target.sum(1)).float()
    empty = total == 0
    dice = torch.where(empty, 1.0, 2 * both / total.clamp(min=1))
    iou = torch.where(empty, 1.0, both / (total - both).clamp(min=1))
    return dice, iou


def _mixed_seed(*numbers: int) -> int:
    # SeedSequence mixes: neighbouring seeds, epochs and steps give unrelated streams.
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
