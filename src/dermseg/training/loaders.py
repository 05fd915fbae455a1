"""Batches in an order that the seed and the epoch decide."""

from collections.abc import Iterator

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

Pairs = Dataset[tuple[Tensor, Tensor]]
Loader = DataLoader[tuple[Tensor, Tensor]]


class EpochShuffle(Sampler[int]):
    """A fresh order for each epoch that depends on (seed, epoch) alone, not on what was drawn before.

    Args:
        length: Number of items.
        seed: Of the run.
    """

    def __init__(self, length: int, seed: int) -> None:
        self.length = length
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each one."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)
        return iter(order.tolist())


def train_loader(pairs: Pairs, length: int, batch_size: int, seed: int, workers: int) -> Loader:
    """Return shuffled batches.

    A last, smaller batch is dropped, since batch statistics of one image can be undefined; other images
    are left out in each epoch. If all images are fewer than a batch, they are the batch.
    """
    return DataLoader(
        pairs,
        batch_size=batch_size,
        sampler=EpochShuffle(length, seed),
        drop_last=length >= batch_size,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def validation_loader(pairs: Pairs, batch_size: int, workers: int) -> Loader:
    """Return batches of every image, in order."""
    return DataLoader(pairs, batch_size=batch_size, num_workers=workers, persistent_workers=workers > 0)
