"""The convolution on a CPU: a pixel's neighbours are read where they lie, the result is written once."""

from typing import Any, TypeAlias

from numpy.typing import NDArray
from torch import Tensor

from dermseg.ops import numba_threads
from dermseg.ops.numba_blocks import BLOCK, read, write
from dermseg.ops.numba_lanes_math import logistic
from dermseg.ops.numba_math import compiled, pointer, stack

BANDS = 8
"""Parts of an image that are tasks of their own."""

_STEPS_OF_A_CHANNEL = 3  # per pixel, of the unit in which `numba_threads.run` counts

Array: TypeAlias = NDArray[Any]


def convolve_silu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve with compiled kernels, by weights (channels, 1, 3, 3) and bias of the convolution."""
    batch, _, width, channels = x.shape
    # Channels of a pixel must be neighbours in memory, but pixels may lie apart: x is often one half of the
    # channels of a larger map.
    pixels = x if x.stride(3) == 1 and x.stride(1) == width * x.stride(2) else x.contiguous()
    y = x.new_empty(x.shape)
    # A filter's nine weights as nine rows of all channels, which is how they are needed.
    filters = weight.detach().reshape(channels, 9).T.contiguous()
    arrays = (tensor.detach().numpy() for tensor in (pixels, filters, bias.contiguous(), y))
    numba_threads.run(_convolve, batch * BANDS, y.numel() * _STEPS_OF_A_CHANNEL, *arrays)
    return y


@compiled
def _convolve(task: int, x: Array, filters: Array, bias: Array, y: Array) -> None:
    """Write one band of rows of one image."""
    _, height, width, channels = x.shape
    image, band = task // BANDS, task % BANDS
    apart = x.strides[2] // x.itemsize
    first = image * (x.strides[0] // x.itemsize)
    x_at, filters_at, bias_at, y_at = pointer(x), pointer(filters), pointer(bias), pointer(y)
    scratch = stack(BLOCK, x.dtype)
    for row in range(band * height // BANDS, (band + 1) * height // BANDS):
        for column in range(width):
            place = ((image * height + row) * width + column) * channels
            for channel in range(0, channels, BLOCK):
                count = min(BLOCK, channels - channel)
                total = read(bias_at, channel, count, scratch)
                for i in range(max(0, 1 - row), min(3, height + 1 - row)):
                    for j in range(max(0, 1 - column), min(3, width + 1 - column)):
                        neighbour = first + ((row + i - 1) * width + column + j - 1) * apart + channel
                        weight = read(filters_at, (3 * i + j) * channels + channel, count, scratch)
                        total = total + weight * read(x_at, neighbour, count, scratch)
                write(total * logistic(total), y_at, place + channel, count, scratch)
