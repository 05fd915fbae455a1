"""Masks of which eight pixels share a byte, served as arrays of pixels."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Rows = int | slice | Sequence[int] | NDArray[np.integer]


def packed_bytes(size: int) -> int:
    """Count the bytes of one packed mask (size, size); the last may be padded with zeros."""
    return math.ceil(size * size / 8)


class PackedMasks:
    """A read-only view of packed masks that is indexed by row, as an array (N, size, size) is.

    Only the rows asked for are unpacked. `np.asarray` unpacks all of them, eight times their bytes.

    Args:
        bits: Packed masks, uint8 (N, `packed_bytes(size)`), the first pixel in the highest bit; mapped from a
            file as a rule.
        size: Side of a mask in pixels.
    """

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(self, bits: NDArray[np.uint8], size: int) -> None:
        self.bits = bits
        self.size = size

    @property
    def shape(self) -> tuple[int, int, int]:
        """(N, size, size)."""
        return len(self.bits), self.size, self.size

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, rows: Rows) -> NDArray[np.uint8]:
        """Unpack rows to new arrays, uint8 (size, size) or (rows, size, size), of 0 and 1."""
        chosen = self.bits[rows]
        pixels = np.unpackbits(chosen, axis=-1, count=self.size * self.size)
        return pixels.reshape(*chosen.shape[:-1], self.size, self.size)

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> NDArray[np.uint8]:
        """Unpack all masks, uint8 (N, size, size)."""
        if copy is False:
            raise ValueError("packed masks cannot be an array without a copy")
        return self[:].astype(dtype or self.dtype, copy=False)
