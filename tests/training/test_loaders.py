"""Batches whose order depends on the seed and the epoch alone."""

import torch
from torch.utils.data import TensorDataset

from dermseg.training.loaders import EpochShuffle, train_loader, validation_loader


def order(seed, epoch, length=20):
    sampler = EpochShuffle(length, seed)
    sampler.set_epoch(epoch)
    return list(sampler)


def test_an_epoch_is_a_permutation_that_seed_and_epoch_decide():
    assert sorted(order(0, 3)) == list(range(20))
    assert order(0, 3) == order(0, 3)
    assert order(0, 3) != order(0, 4)
    assert order(0, 3) != order(1, 3)


def test_a_last_smaller_batch_is_left_out():
    pairs = TensorDataset(torch.arange(10))
    assert [len(batch[0]) for batch in train_loader(pairs, 10, 4, seed=0, workers=0)] == [4, 4]


def test_a_batch_comes_several_times_in_a_row():
    pairs = TensorDataset(torch.arange(10))
    loader = train_loader(pairs, 10, 4, seed=0, workers=0, times=3)
    loader.sampler.set_epoch(2)
    batches = [batch[0].tolist() for batch in loader]
    assert len(loader) == len(batches) == 6
    assert batches[0] == batches[1] == batches[2] != batches[3] == batches[4] == batches[5]
    assert batches[0] + batches[3] == order(0, 2, 10)[:8]


def test_few_images_are_one_batch():
    pairs = TensorDataset(torch.arange(3))
    assert [len(batch[0]) for batch in train_loader(pairs, 3, 8, seed=0, workers=0)] == [3]


def test_validation_sees_every_image_in_order():
    batches = validation_loader(TensorDataset(torch.arange(5)), 5, 2, workers=0)
    assert torch.cat([batch[0] for batch in batches]).tolist() == [0, 1, 2, 3, 4]
