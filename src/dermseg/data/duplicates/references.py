"""Fingerprints in the few bytes that go with weights, so that a network's images are known again."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermseg.data.duplicates.alignment import GRID, Views
from dermseg.data.duplicates.fingerprint import SHAPE, SIDE, Fingerprint, textures
from dermseg.data.duplicates.hashing import upright_hashes

VERSION = 1
"""Raised when fingerprints change: those of other versions cannot be compared."""

_HASH_BYTES = 32
_SIGN_BYTES = GRID * GRID // 8


@dataclass(frozen=True, eq=False)
class References:
    """Images that others are compared with: 288 bytes each, which hold neither greys nor colours.

    Row i of every array belongs to `identifiers[i]`.
    """

    identifiers: tuple[str, ...]
    hashes: NDArray[np.uint64]
    """(N, 4): 256 bits of the upright picture."""
    signs: NDArray[np.uint8]
    """(N, 2, 128): signs of the textures of both bands at 32 x 32 pixels, eight to a byte."""

    @classmethod
    def of(cls, fingerprints: Sequence[Fingerprint]) -> "References":
        """Reduce fingerprints to what is stored."""
        thumbnails = np.array([one.thumbnail for one in fingerprints], np.uint8).reshape(-1, SIDE, SIDE)
        pictures = textures(thumbnails, SHAPE)
        views = Views.of(thumbnails, pictures)
        values = np.stack([views.shape, views.detail], axis=1).reshape(-1, 2, GRID * GRID)
        return cls(
            tuple(one.identifier for one in fingerprints),
            upright_hashes(pictures),
            np.packbits(values > 0, axis=-1),
        )

    def views(self, rows: NDArray[np.intp]) -> Views:
        """Give what is compared of some images, as signs: -1 and 1."""
        bits = np.unpackbits(self.signs[rows], axis=-1).reshape(-1, 2, GRID, GRID)
        signs = bits.astype(np.float32) * 2 - 1
        return Views(signs[:, 0], signs[:, 1])

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
        signs = np.frombuffer(_bytes(packed.get("signs"), count * 2 * _SIGN_BYTES), np.uint8)
        return cls(
            tuple(identifiers),
            hashes.astype(np.uint64).reshape(count, 4),
            signs.reshape(count, 2, _SIGN_BYTES),
        )


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _bytes(text: object, count: int) -> bytes:
    try:
        content = base64.b64decode(text if isinstance(text, str) else "", validate=True)
    except ValueError as error:
        raise ValueError("fingerprints are no base64 text") from error
    if len(content) != count:
        raise ValueError(f"fingerprints have {len(content)} bytes, expected {count}")
    return content
