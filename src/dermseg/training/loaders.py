"""Batches in an order that the seed and the epoch decide."""

from collections.abc import Iterator

import numpy as np
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

Pairs = Dataset[tuple[Tensor, ...]]
Loader = DataLoader[tuple[Tensor, ...]]


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


class RepeatedBatches(Sampler[list[int]]):
    """Batches of a sampler's items, each several times in a row.

    Args:
        sampler: Order of the items.
        batch_size: Items of a batch.
        drop_last: Leave a last, smaller batch out.
        times: How often each batch comes.
    """

    def __init__(self, sampler: EpochShuffle, batch_size: int, drop_last: bool, times: int) -> None:
        # Under this name, Lightning finds the sampler whose epoch it sets.
        self.sampler = sampler
        self.times = times
        self._batches = BatchSampler(sampler, batch_size, drop_last)

    def __len__(self) -> int:
        return len(self._batches) * self.times

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._batches:
            yield from [batch] * self.times


def train_loader(
    pairs: Pairs, length: int, batch_size: int, seed: int, workers: int, times: int = 1
) -> Loader:
    """Return shuffled batches, each `times` in a row.

    A last, smaller batch is dropped, since batch statistics of one image can be undefined; other images
    are left out in each epoch. If all images are fewer than a batch, they are the batch.
    """
    return DataLoader(
        pairs,
        batch_sampler=RepeatedBatches(EpochShuffle(length, seed), batch_size, length >= batch_size, times),
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def validation_loader(pairs: Pairs, batch_size: int, workers: int) -> Loader:
    """Return batches of every image, in order."""
    return DataLoader(pairs, batch_size=batch_size, num_workers=workers, persistent_workers=workers > 0)
