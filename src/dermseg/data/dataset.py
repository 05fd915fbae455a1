"""Images and masks of a cache as a PyTorch data set."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from dermseg.data.cache import Cache
from dermseg.data.pairs import listing
from dermseg.errors import DataError


class CachedPairs(Dataset[tuple[Tensor, Tensor]]):
    """Some pairs of a cache, in the order of the identifiers given.

    An item is an image, uint8 (3, size, size), and its mask, uint8 (1, size, size) with values 0 and 1.

    Args:
        cache: A prepared cache.
        identifiers: For example one side of a split.

    Raises:
        DataError: The cache lacks an identifier.
    """

    def __init__(self, cache: Cache, identifiers: Iterable[str]) -> None:
        self.cache = cache
        self.identifiers = tuple(identifiers)
        row_of = {identifier: row for row, identifier in enumerate(cache.identifiers)}
        missing = [identifier for identifier in self.identifiers if identifier not in row_of]
        if missing:
            reasons = [f"{problem.path} {problem.reason}" for problem in cache.problems]
            raise DataError(
                f"{cache.directory} has no usable pair for {listing(missing)}. "
                f"Left out of the cache: {listing(reasons, 3) or 'nothing'}."
            )
        self._rows = [row_of[identifier] for identifier in self.identifiers]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        row = self._rows[index]
        # Copies, since a tensor must not share memory with a read-only mapping.
        image = np.array(self.cache.images[row].transpose(2, 0, 1), order="C")
        mask = np.array(self.cache.masks[row][None])
        return torch.from_numpy(image), torch.from_numpy(mask)
