"""The gate on a CPU: a vector is normalised while it lies in the nearest cache, and written once."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dermseg.ops import numba_threads
from dermseg.ops.numba_blocks import BLOCK, read, write
from dermseg.ops.numba_lanes import fill, load, total
from dermseg.ops.numba_lanes_math import logistic
from dermseg.ops.numba_math import compiled, pointer, stack

BANDS = 8
"""Tasks that the vectors are divided into."""

_STEPS_OF_A_CHANNEL = 3  # per vector, of the unit in which `numba_threads.run` counts

Array: TypeAlias = NDArray[Any]


def normalise_gate(y: Tensor, gate: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Normalise and gate with compiled kernels: `weight`, `bias` and `eps` are those of the norm."""
    channels = y.shape[-1]
    # The gate is often one half of the channels of a larger map: its vectors lie apart.
    vectors, gates = y.reshape(-1, channels), gate.reshape(-1, channels)
    gates = gates if gates.stride(1) == 1 else gates.contiguous()
    result = y.new_empty(y.shape)
    inputs = vectors.contiguous(), gates, weight.contiguous(), bias.contiguous(), result.view(-1, channels)
    arrays = (tensor.detach().numpy() for tensor in inputs)
    numba_threads.run(_normalise, BANDS, y.numel() * _STEPS_OF_A_CHANNEL, eps, *arrays)
    return result


@compiled
def _normalise(
    task: int, eps: float, y: Array, gate: Array, weight: Array, bias: Array, result: Array
) -> None:
    """Write one band of vectors."""
    count, channels = y.shape
    apart = gate.strides[0] // gate.itemsize
    y_at, gate_at, weight_at, bias_at = pointer(y), pointer(gate), pointer(weight), pointer(bias)
    result_at = pointer(result)
    scratch = stack(BLOCK, y.dtype)
    whole = channels - channels % BLOCK
    zero = y.dtype.type(0)
    for vector in range(task * count // BANDS, (task + 1) * count // BANDS):
        first = vector * channels
        sums, rest = fill(zero), zero
        for channel in range(0, whole, BLOCK):
            sums = sums + load(y_at, first + channel)
        for channel in range(whole, channels):
            rest += y_at[first + channel]
        mean = y.dtype.type((total(sums) + rest) / channels)
        squares, rest = fill(zero), zero
        for channel in range(0, whole, BLOCK):
            deviation = load(y_at, first + channel) - mean
            squares = squares + deviation * deviation
        for channel in range(whole, channels):
            rest += (y_at[first + channel] - mean) ** 2
        scale = y.dtype.type(1 / np.sqrt((total(squares) + rest) / channels + eps))
        for channel in range(0, channels, BLOCK):
            width = min(BLOCK, channels - channel)
            normed = (read(y_at, first + channel, width, scratch) - mean) * scale
            shifted = normed * read(weight_at, channel, width, scratch) + read(
                bias_at, channel, width, scratch
            )
            opening = read(gate_at, vector * apart + channel, width, scratch)
            write(shifted * (opening * logistic(opening)), result_at, first + channel, width, scratch)
