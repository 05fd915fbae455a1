"""Batches in an order that the seed and the epoch decide.

A data set is asked for whole batches: it is indexed by the list of their items. A loader that asks item by
item and stacks the answers spends most of its time on that.
"""

from collections.abc import Iterator

import numpy as np
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler, SequentialSampler

Pairs = Dataset[tuple[Tensor, ...]]
"""A data set that is indexed by a list of items, and then gives them as one batch."""
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
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)
        return iter(order.tolist())


class RepeatedBatches(Sampler[list[int]]):
    """Shuffled batches, each several times in a row.

    Args:
        order: Order of the items.
        batch_size: Items of a batch.
        drop_last: Leave a last, smaller batch out.
        times: How often each batch comes.
        part: Number of this process, and of all that share each batch.
    """

    def __init__(
        self,
        order: EpochShuffle,
        batch_size: int,
        drop_last: bool,
        times: int,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        self.order = order
        self.times = times
        self.part = part
        self._batches = BatchSampler(order, batch_size, drop_last)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each one."""
        self.order.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._batches) * self.times

    def __iter__(self) -> Iterator[list[int]]:
        first, step = self.part
        for batch in self._batches:
            yield from [batch[first::step]] * self.times


def train_loader(
    pairs: Pairs,
    length: int,
    batch_size: int,
    seed: int,
    workers: int,
    times: int = 1,
    part: tuple[int, int] = (0, 1),
) -> Loader:
    """Return shuffled batches.

    A last, smaller batch is dropped, since batch statistics of one image can be undefined; other images
    are left out in each epoch. If all images are fewer than a batch, they are the batch.

    Args:
        pairs: The training images.
        length: Their number.
        batch_size: Images in a batch, of all processes together.
        seed: Decides the order, with the epoch.
        workers: Processes that read images; 0 reads in this one.
        times: How often each batch comes, in a row.
        part: Number of this process and of all that share each batch; each gets its images of it.
    """
    order = EpochShuffle(length, seed)
    return _loader(pairs, RepeatedBatches(order, batch_size, length >= batch_size, times, part), workers)


def validation_loader(pairs: Pairs, length: int, batch_size: int, workers: int) -> Loader:
    """Return batches of every image, in order.

    Args:
        pairs: The validation images.
        length: Their number.
        batch_size: Images in a batch; the last may have fewer.
        workers: Processes that read images; 0 reads in this one.
    """
    order = SequentialSampler(range(length))
    return _loader(pairs, BatchSampler(order, batch_size, drop_last=False), workers)


def _loader(pairs: Pairs, batches: Sampler[list[int]], workers: int) -> Loader:
    # Without a batch size of its own, a DataLoader passes on what the sampler gives: the items of a batch.
    return DataLoader(
        pairs, sampler=batches, batch_size=None, num_workers=workers, persistent_workers=workers > 0
    )
