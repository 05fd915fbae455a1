"""Batches of images for a training, from a prepared cache or from the raw files, and how fast they come."""

import os
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from dermseg.data.augment import augment
from dermseg.data.cache import Cache
from dermseg.data.dataset import CachedPairs
from dermseg.data.decoding import usable_cores
from dermseg.data.pairs import Pair
from dermseg.training.loaders import train_loader

WARM_UP = 32
"""Batches before the clock starts: workers start, and kernels compile, rare ones too."""


class RawFiles(Dataset[tuple[Tensor, Tensor]]):
    """Pairs read from their files, item by item, as training scripts do without a cache.

    Args:
        pairs: The pairs.
        size: Side of the images in pixels.
    """

    def __init__(self, pairs: tuple[Pair, ...], size: int) -> None:
        self.pairs = pairs
        self.size = [size, size]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        with Image.open(self.pairs[index].image) as file:
            image = transforms.pil_to_tensor(file.convert("RGB"))
        with Image.open(self.pairs[index].mask) as file:
            mask = transforms.pil_to_tensor(file.convert("L"))
        mask = transforms.resize(mask, self.size, InterpolationMode.NEAREST)
        return transforms.resize(image, self.size, antialias=True), mask.gt(0).to(torch.uint8)


def cached_loader(cache: Cache, batch_size: int) -> DataLoader[Any]:
    """Read shuffled batches as `dermseg train` does."""
    pairs = CachedPairs(cache, cache.identifiers)
    return train_loader(pairs, len(pairs), batch_size, seed=0, workers=0)


def raw_loader(pairs: tuple[Pair, ...], size: int, batch_size: int) -> DataLoader[Any]:
    """Read shuffled batches with one worker process for each core."""
    cores = usable_cores()
    return DataLoader(
        RawFiles(pairs, size), batch_size, shuffle=True, num_workers=cores, persistent_workers=True
    )


def feed(loader: DataLoader[Any], augmented: bool, seconds: float) -> tuple[int, float, float]:
    """Read batches for so many seconds; return the number of images, seconds and processor seconds."""
    torch.set_num_threads(usable_cores())
    generator = torch.Generator().manual_seed(0)
    batches = images = 0
    start = cpu_start = 0.0
    while True:
        for batch in loader:
            if augmented:
                augment(*batch, generator)
            batches += 1
            if batches == WARM_UP:
                start, cpu_start = time.perf_counter(), _cpu_seconds()
            elif batches > WARM_UP:
                images += len(batch[0])
                passed = time.perf_counter() - start
                if passed > seconds:
                    return images, passed, _cpu_seconds() - cpu_start


def _cpu_seconds() -> float:
    """Processor time of this process and, on Linux, of its living workers."""
    total = time.process_time()
    for children in Path("/proc/self/task").glob("*/children"):
        for process in children.read_text().split():
            fields = Path("/proc", process, "stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total
