"""Training with feedback: an image is shown together with a mask that was predicted for it earlier."""

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset
from typing_extensions import override

from dermseg.data.dataset import CachedPairs
from dermseg.errors import ConfigError
from dermseg.models.base import SegmentationModel
from dermseg.training.arguments import TrainArguments
from dermseg.training.feedback import MaskStore
from dermseg.training.history import History
from dermseg.training.module import Batch, SegmentationTask

MASKS = "dermseg_masks"
"""Key of the masks in a checkpoint."""


class Refining(Protocol):
    """What a network offers that is shown masks, as `dermseg.models.fa_net.FANet` does."""

    def first_masks(self, images: Tensor) -> Tensor:
        """Return the masks (B, 1, H, W) to begin with, of standardised images (B, 3, H, W)."""

    def refine(self, images: Tensor, masks: Tensor) -> Tensor:
        """Return logits (B, 1, H, W) of standardised images that are shown with masks (B, 1, H, W)."""


class Numbered(Dataset[tuple[Tensor, ...]]):
    """Pairs with their place in the list, by which their earlier masks are found."""

    def __init__(self, pairs: CachedPairs) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int | Sequence[int]) -> tuple[Tensor, ...]:
        return *self.pairs[index], torch.tensor(index)


class FeedbackTask(SegmentationTask):
    """Shows the network the mask last kept of every training image, in the image's own view.

    After an epoch that lowered the validation loss, the network predicts the mask of every training image as
    it is, shown with its earlier one; from then on these are shown. They are part of every checkpoint.

    Args:
        network: The network to train; it must be one that is shown masks.
        arguments: Of the run.

    Raises:
        ConfigError: The network is shown no masks.
    """

    def __init__(self, network: SegmentationModel, arguments: TrainArguments) -> None:
        super().__init__(network, arguments)
        if not hasattr(network, "refine"):
            raise ConfigError(
                f"mask_feedback: {network.name} is a network that is shown no masks; fa_net is one that is"
            )
        self.store = MaskStore(self._first_masks)

    @override
    def begin(self, history: History, pairs: CachedPairs) -> None:
        """Take up a run where it stands, with these training images."""
        super().begin(history, pairs)
        self._pairs = pairs
        self._row_of = {identifier: row for row, identifier in enumerate(pairs.identifiers)}

    @override
    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Return the loss of a batch whose images are shown with their masks, moved as the images are."""
        images, masks, rows = batch
        shown = self.store.get(self._identifiers(rows)).to(masks.device)
        images, moved = self.views(images, torch.cat([masks, shown], dim=1), index)
        masks, shown = torch.split(moved, 1, dim=1)
        loss: Tensor = self.loss(self._refining.refine(self._standardised(images), shown > 0), masks)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(images))
        return loss

    @override
    def on_validation_epoch_end(self) -> None:
        """Renew the masks where the epoch lowered the validation loss."""
        best = min((row.val_loss for row in self.history.epochs), default=math.inf)
        if float(self.trainer.callback_metrics["val_loss"]) < best:
            for rows in torch.split(torch.arange(len(self._pairs)), self.arguments.batch_size):
                names = self._identifiers(rows)
                images = self._standardised(self._images(names))
                logits = self._refining.refine(images, self.store.get(names).to(images.device))
                self.store.replace(names, logits > 0)

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the masks into the checkpoint, so that a resumed run shows those of the unbroken one."""
        checkpoint[MASKS] = self.store.state_dict()

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the masks out of a checkpoint."""
        self.store.load_state_dict(checkpoint.get(MASKS, {}))

    @property
    def _refining(self) -> Refining:
        network: Any = self.network
        refining: Refining = network
        return refining

    def _first_masks(self, identifiers: Sequence[str]) -> Tensor:
        return self._refining.first_masks(self._standardised(self._images(identifiers)))

    def _images(self, identifiers: Sequence[str]) -> Tensor:
        """Return training images uint8 (B, 3, S, S), as they are."""
        images, _ = self._pairs[[self._row_of[identifier] for identifier in identifiers]]
        return images.to(self.device)

    def _identifiers(self, rows: Tensor) -> list[str]:
        return [self._pairs.identifiers[row] for row in rows.tolist()]
