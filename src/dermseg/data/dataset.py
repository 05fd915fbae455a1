"""Images and masks of a cache as a PyTorch data set."""

from collections.abc import Iterable, Sequence

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
    Indexed by a list, as a tensor is, the data set gives a batch: (B, 3, size, size) and (B, 1, size, size),
    copied from the mapped file at once. That is several times as fast as items that are stacked afterwards.

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
        self._rows = np.array([row_of[identifier] for identifier in self.identifiers], np.intp)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int | Sequence[int]) -> tuple[Tensor, Tensor]:
        rows = self._rows[index]
        # `take` copies: a tensor must not share memory with a read-only mapping.
        images = np.take(self.cache.planes, rows, axis=0)
        masks = self.cache.masks[rows][..., None, :, :]
        return torch.from_numpy(images), torch.from_numpy(masks)
