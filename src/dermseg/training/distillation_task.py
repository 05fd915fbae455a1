"""Training with a teacher: images are compared with their masks, and with an earlier network's outlines."""

import torch
from rich.progress import track
from torch import Tensor
from typing_extensions import override

from dermseg.data.augment import normalize
from dermseg.data.dataset import CachedPairs
from dermseg.devices import resolve_device
from dermseg.errors import ConfigError
from dermseg.inference.mirrors import mean_of_mirrors
from dermseg.models.base import SegmentationModel
from dermseg.models.weights import load_model
from dermseg.training.arguments import TrainArguments
from dermseg.training.history import History
from dermseg.training.module import Batch, SegmentationTask

_ONE = 255
"""What stands for probability 1 in a byte."""


class DistillationTask(SegmentationTask):
    """Compares the network with a blend of the mask and of what the weights say that the run starts from.

    Two experts outline a lesion differently, and some masks are wrong; a network that has seen many draws
    what most of them would. Hinton et al., "Distilling the Knowledge in a Neural Network", arXiv 1503.02531,
    with teacher and student alike: Furlanello et al., "Born-Again Neural Networks", arXiv 1805.04770.

    The teacher sees every training image once, as it is and mirrored, before the first epoch; its outline is
    then moved together with the image and its mask.

    Args:
        network: The network to train.
        arguments: Of the run, with `weights` and `distillation`.

    Raises:
        ConfigError: The run starts from no weights, or shows masks to the network, too.
    """

    def __init__(self, network: SegmentationModel, arguments: TrainArguments) -> None:
        super().__init__(network, arguments)
        if arguments.weights is None:
            raise ConfigError(
                "distillation takes the outlines of the weights that a run starts from; name them, "
                "--weights FILE, or leave it at 0"
            )
        if arguments.mask_feedback:
            raise ConfigError("distillation and mask_feedback exclude each other; leave one of them out")
        self.teacher = arguments.weights
        self.share = arguments.distillation

    @override
    def begin(self, history: History, pairs: CachedPairs) -> None:
        """Take up a run where it stands, and have the teacher outline these training images."""
        super().begin(history, pairs)
        self.outlines = outlines(load_model(self.teacher), pairs, self.arguments)

    @override
    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Return the loss of a batch against masks and outlines, moved as the images are."""
        images, masks, rows = batch
        outlined = self.outlines[rows.cpu()].to(masks.device)
        images, moved = self.views(images, torch.cat([masks, outlined], dim=1), index)
        masks, outlined = torch.split(moved.float(), 1, dim=1)
        loss = self.training_loss(images, torch.lerp(masks, outlined / _ONE, self.share))
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(images), sync_dist=True)
        return loss


@torch.no_grad()
def outlines(teacher: SegmentationModel, pairs: CachedPairs, arguments: TrainArguments) -> Tensor:
    """Return a teacher's probabilities on training images, the mean over mirror images.

    Args:
        teacher: Of the same task.
        pairs: The training images.
        arguments: Of the run: device and size of a batch.

    Returns:
        uint8 (images, 1, S, S), 0 to 255, in the order of the pairs.
    """
    device = resolve_device(arguments.device)
    teacher = teacher.to(device).eval()
    prepared = teacher.preprocessing
    found = []
    rows = torch.split(torch.arange(len(pairs)), arguments.batch_size)
    for part in track(rows, "Outlines of the teacher"):
        images, _ = pairs[part.tolist()]
        logits = mean_of_mirrors(teacher, normalize(images.to(device), prepared.mean, prepared.std))
        found.append((_ONE * logits.sigmoid()).round().to(torch.uint8).cpu())
    return torch.cat(found)
