"""Blocks of channels as lanes in compiled kernels, also the last one, which may be narrower."""

from typing import Any, TypeAlias

from dermseg.ops.numba_lanes import WIDTH, load, store
from dermseg.ops.numba_math import inlined

BLOCK = WIDTH
"""Channels of one vector."""

# What Python does not type: pointers into arrays and to stack memory, and vectors.
Pointer: TypeAlias = Any
Lanes: TypeAlias = Any


@inlined
def read(source: Pointer, index: int, width: int, scratch: Pointer) -> Lanes:
    """Return `width` elements as lanes, padded with zeros; `scratch` is stack memory for one block."""
    if width == BLOCK:
        return load(source, index)
    for i in range(BLOCK):
        scratch[i] = source[index + i] if i < width else 0.0
    return load(scratch, 0)


@inlined
def write(lanes: Lanes, target: Pointer, index: int, width: int, scratch: Pointer) -> None:
    """Write the first `width` lanes."""
    if width == BLOCK:
        store(lanes, target, index)
    else:
        store(lanes, scratch, 0)
        for i in range(width):
            target[index + i] = scratch[i]
