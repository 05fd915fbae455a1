"""What the compiled loops of the scan, forward and backward, have in common: how they divide the work.

A task is one image's group of channels; it walks all directions one after the other, so every sum has a
fixed order, and no result depends on the number of threads or on the other images of a batch.

Inside a task, the sequence is cut into chunks of `CHUNK` steps, and the channels into blocks of `BLOCK`, the
width of the kernels' vectors. For every chunk and block, what the states share is computed once, step after
step, into tiles on the stack. Then the recurrence runs: forward, every step visits all N states; backward,
every state visits all steps, so that the history of one state is all that is stored. All blocks pass over a
chunk before the next chunk, because pixels are far apart and visiting a memory page costs more than the
arithmetic of a block. The states at the start of each chunk are all that is kept for the backward pass, which
computes the others anew.

Shapes, with P pixels and K directions: orders (K, P); A (K, channels, N); B, C (batch, P, K, N); D, bias
(K, channels). Read as vectors: x, y (batch, P, channels); delta (K, batch, P, channels); starts (batch, K,
chunks, blocks, N, BLOCK).
"""

import math
from typing import Any, TypeAlias

from numpy.typing import NDArray

from dermseg.ops.numba_blocks import BLOCK, Pointer
from dermseg.ops.numba_math import inlined

GROUPS = 4  # fewest tasks of an image that has as many blocks
LARGEST_GROUP = 6  # blocks whose states and parameters stay in the nearest cache
CHUNK = 32  # steps between kept states
TILE = CHUNK * BLOCK

LOG2_E = math.log2(math.e)

Array: TypeAlias = NDArray[Any]


def blocks_of(channels: int) -> int:
    """Number of blocks."""
    return (channels + BLOCK - 1) // BLOCK


def group_size(channels: int) -> int:
    """Number of blocks in a group."""
    return min(LARGEST_GROUP, (blocks_of(channels) + GROUPS - 1) // GROUPS)


def groups_of(channels: int) -> int:
    """Number of groups, which is the number of tasks of an image."""
    size = group_size(channels)
    return (blocks_of(channels) + size - 1) // size


@inlined
def read_parameters(
    A: Pointer, D: Pointer, bias: Pointer, row: int, states: int, width: int, parameters: Pointer, own: int
) -> None:
    """Collect a block's parameters (N + 2, BLOCK) in `parameters` from `own` on: A, D, bias; pad with zeros.

    `row` is the block's first row in (K, channels). A is multiplied by log2(e), so that 2^x serves as e^x.
    """
    for i in range(BLOCK):
        for n in range(states):
            parameters[own + n * BLOCK + i] = A[(row + i) * states + n] * LOG2_E if i < width else 0.0
        parameters[own + states * BLOCK + i] = D[row + i] if i < width else 0.0
        parameters[own + (states + 1) * BLOCK + i] = bias[row + i] if i < width else 0.0
