"""The Lightning module: what happens to a batch in training and in validation."""

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from typing_extensions import override

from dermseg.data.augment import augment, create_augmentation, normalize
from dermseg.data.dataset import CachedPairs
from dermseg.errors import ConfigError
from dermseg.losses.deep_supervision import DeepSupervision
from dermseg.losses.table import create_loss
from dermseg.models.base import SegmentationModel
from dermseg.training.arguments import TrainArguments
from dermseg.training.history import History
from dermseg.training.optimization import create_optimizer
from dermseg.training.schedule import learning_rate

Batch = tuple[Tensor, ...]
"""Images uint8 (B, 3, S, S) and masks uint8 (B, 1, S, S), 0 or 1."""
ROUNDING = 32
"""Sides of images at another scale are multiples of this."""


class SegmentationTask(pl.LightningModule):
    """The loss on logits, the optimizer, and per-image Dice on the validation images.

    Every random draw is a function of (seed, epoch, step). A run that is killed and resumed at an epoch
    therefore draws what the unbroken run draws, without any generator state being stored.

    Args:
        network: The network to train.
        arguments: Of the run.

    Raises:
        ConfigError: The arguments of the loss or of the augmentation are not theirs.
    """

    def __init__(self, network: SegmentationModel, arguments: TrainArguments) -> None:
        super().__init__()
        self.network = network
        self.arguments = arguments
        self.history = History()
        self.part: tuple[int, ...] = ()
        """Number of this process, where several train one run: each draws its own augmentation."""
        self.loss = create_loss(arguments.loss, arguments.loss_arguments)
        self.augmentation = create_augmentation(arguments.augmentation)

    def begin(self, history: History, pairs: CachedPairs) -> None:  # noqa: ARG002 (a subclass uses them)
        """Take up a run where it stands.

        Args:
            history: The curve so far, which grows as the run goes on.
            pairs: The training images.
        """
        self.history = history

    @override
    def on_train_start(self) -> None:
        """Put the network into training mode, which weights from a file are not in; Lightning does not."""
        self.network.train()
        if self.arguments.frozen_norms:
            for module in self.network.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()

    @override
    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """At the first step, seed the layers that draw (drop path) and set the epoch's learning rate.

        Not in `on_train_epoch_start`: Lightning leaves that hook out in the first epoch of a resumed run.
        """
        if batch_idx > 0:
            return
        torch.manual_seed(_mixed_seed(self.arguments.seed, self.current_epoch, *self.part))
        losses = [row.val_loss for row in self.history.epochs]
        rate = learning_rate(self.arguments, self.current_epoch, losses)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate

    @override
    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Return the loss of a batch, augmented per image.

        Raises:
            ConfigError: The batch is too small for the network's normalisation.
        """
        images, masks = batch
        images, masks = self.views(images, masks, index)
        try:
            loss = self.training_loss(images, masks)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise ConfigError(
                f"a batch of {len(images)} at {images.shape[-1]} px leaves a normalisation of "
                f"{self.network.name} a single value per channel; raise batch_size or size"
            ) from error
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(images), sync_dist=True)
        return loss

    def views(self, images: Tensor, masks: Tensor, index: int) -> tuple[Tensor, Tensor]:
        """Return a batch as it is trained on in a step: augmented, and at the step's scale.

        Args:
            images: uint8 (B, 3, S, S).
            masks: uint8 (B, any, S, S), moved together with the images.
            index: Of the step in its epoch.
        """
        number, place = divmod(index, len(self.arguments.scales))
        if self.arguments.augment:
            generator = torch.Generator().manual_seed(
                _mixed_seed(self.arguments.seed, self.current_epoch, number, *self.part)
            )
            images, masks = augment(images, masks, generator, self.augmentation)
        return at_scale(images, masks, self.arguments.scales[place])

    def training_loss(self, images: Tensor, masks: Tensor) -> Tensor:
        """Return the loss of images with values 0..255: on the prediction, or on all heads."""
        if self.arguments.deep_supervision == "none":
            loss: Tensor = self.loss(self(images), masks)
        else:
            outputs = self.network.outputs(self._standardised(images))
            loss = DeepSupervision(self.loss, self.arguments.deep_supervision)(outputs, masks)
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
        """Return the logits (B, 1, S, S) of images (B, 3, S, S) with values 0..255."""
        logits: Tensor = self.network(self._standardised(images))
        return logits

    def _standardised(self, images: Tensor) -> Tensor:
        preprocessing = self.network.preprocessing
        return normalize(images, preprocessing.mean, preprocessing.std)

    @override
    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer; the learning rate is set at the start of each epoch."""
        return create_optimizer(self.network, self.arguments)


def at_scale(images: Tensor, masks: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Resize square images (B, 3, S, S) with their masks to the multiple of 32 pixels nearest to scale * S.

    Both bilinearly and with their corners aligned, as PraNet trains; resized masks are floats from 0 to 1.
    """
    if scale == 1:
        return images, masks
    side = max(1, round(images.shape[-1] * scale / ROUNDING)) * ROUNDING
    resized = (
        F.interpolate(x.float(), (side, side), mode="bilinear", align_corners=True) for x in (images, masks)
    )
    return next(resized), next(resized)


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
