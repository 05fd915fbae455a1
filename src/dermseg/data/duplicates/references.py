"""Fingerprints in the few bytes that go with weights, so that a network's images are known again."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermseg.data.duplicates.alignment import GRID, on_grid
from dermseg.data.duplicates.fingerprint import Fingerprint, FloatArray, texture

VERSION = 1
"""Raised when fingerprints change: those of other versions cannot be compared."""

_HASH_BYTES = 32
_SIGN_BYTES = GRID * GRID // 8


@dataclass(frozen=True, eq=False)
class References:
    """Images that others are compared with: 160 bytes each, from which no picture can be made.

    Row i of every array belongs to `identifiers[i]`.
    """

    identifiers: tuple[str, ...]
    hashes: NDArray[np.uint64]
    """(N, 4): 256 bits of the upright picture."""
    signs: NDArray[np.uint8]
    """(N, 128): signs of the texture at the 32 x 32 points of the grid, eight to a byte."""

    @classmethod
    def of(cls, fingerprints: Sequence[Fingerprint]) -> "References":
        """Reduce fingerprints to what is stored."""
        hashes = np.array([one.hashes[0] for one in fingerprints], np.uint64).reshape(-1, 4)
        signs = np.empty((len(fingerprints), _SIGN_BYTES), np.uint8)
        for row, one in enumerate(fingerprints):
            values = on_grid(texture(one.thumbnail[None]))
            signs[row] = np.packbits(values.ravel() > 0)
        return cls(tuple(one.identifier for one in fingerprints), hashes, signs)

    def templates(self, rows: NDArray[np.intp]) -> FloatArray:
        """Give the signs of some images as pictures (N, GRID, GRID) of -1 and 1."""
        bits = np.unpackbits(self.signs[rows], axis=1).reshape(-1, GRID, GRID)
        return bits.astype(np.float32) * 2 - 1

    def first(self, count: int) -> "References":
        """Give the first images alone."""
        return References(self.identifiers[:count], self.hashes[:count], self.signs[:count])

    def pack(self) -> dict[str, Any]:
        """Give hashes and signs as JSON values; identifiers are left to whoever stores them."""
        return {
            "version": VERSION,
            "hashes": _text(self.hashes.astype("<u8").tobytes()),
            "signs": _text(self.signs.tobytes()),
        }

    @classmethod
    def unpack(cls, identifiers: Sequence[str], packed: Mapping[str, Any]) -> "References | None":
        """Read what `pack` gave.

        Returns:
            None if another version wrote it.

        Raises:
            ValueError: It is damaged, or belongs to another number of images.
        """
        if packed.get("version") != VERSION:
            return None
        count = len(identifiers)
        hashes = np.frombuffer(_bytes(packed.get("hashes"), count * _HASH_BYTES), "<u8")
        signs = np.frombuffer(_bytes(packed.get("signs"), count * _SIGN_BYTES), np.uint8)
        return cls(
            tuple(identifiers),
            hashes.astype(np.uint64).reshape(count, 4),
            signs.reshape(count, _SIGN_BYTES),
        )


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _bytes(text: object, count: int) -> bytes:
    try:
        content = base64.b64decode(text if isinstance(text, str) else "", validate=True)
    except binascii.Error as error:
        raise ValueError("fingerprints are no base64 text") from error
    if len(content) != count:
        raise ValueError(f"fingerprints have {len(content)} bytes, expected {count}")
    return content
