"""Pairs of files to make caches of, and what is in a folder of caches."""

from pathlib import Path

import numpy as np
from PIL import Image

from dermseg.data.pairs import Pair

SIZE = 16


def make_pairs(folder: Path, count: int) -> list[Pair]:
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    pairs = []
    for index in range(count):
        pair = Pair(f"p{index}", folder / f"p{index}.png", folder / f"p{index}_mask.png")
        height, width = 20 + index, 30
        Image.fromarray(generator.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(pair.image)
        mask = np.zeros((height, width), np.uint8)
        mask[5 : 8 + index, 4:20] = 255
        Image.fromarray(mask).save(pair.mask)
        pairs.append(pair)
    return pairs


def find(directory: Path, name: str) -> Path:
    """A file of the one cache in a directory."""
    [path] = directory.glob(f"*/{name}")
    return path
