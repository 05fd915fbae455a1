"""Every operator with drawn inputs, ours and its peers, for the benchmarks."""

from collections.abc import Callable

import torch
from torch import Tensor

from dermseg.ops.mlstm import mlstm
from dermseg.ops.selective_scan import selective_scan
from dermseg.ops.slstm import slstm
from dermseg.ops.ss2d import ss2d_scan
from peers import mambapy_selective_scan, plain_selective_scan

DIRECTIONS = 4
HEADS = 4


def operator(name: str, backend: str) -> Callable[..., Tensor]:
    """The operator's function; the back-ends of ours are chosen by `DERMSEG_BACKEND`."""
    peers = {"released": plain_selective_scan, "mambapy": mambapy_selective_scan}
    ours = {
        "selective_scan": selective_scan,
        "ss2d": ss2d_scan,
        "slstm": lambda *inputs: slstm(*inputs)[0],
        "mlstm": lambda *inputs: mlstm(*inputs)[0],
    }
    return peers.get(backend, ours[name])


def draw_inputs(name: str, height: int, width: int, channels: int, states: int) -> list[Tensor]:
    """Inputs of one image or sequence; a sequence is as long as height times width.

    The scans' are as at the start of training: A from -1 to -N, steps around 0.01.
    """
    length = height * width
    if name == "slstm":
        dim = channels // HEADS
        return [torch.randn(1, length, 4, HEADS, dim), torch.randn(4, HEADS, dim, dim) / dim**0.5]
    if name == "mlstm":
        queries, keys, values = (torch.randn(1, length, HEADS, channels // HEADS) for _ in range(3))
        gates = (torch.randn(1, length, HEADS) for _ in range(2))
        return [queries, keys * (HEADS / channels) ** 0.5, values, *gates]
    K, N = DIRECTIONS, states
    if name == "selective_scan":
        return [
            torch.randn(1, length, channels),
            torch.randn(1, length, channels) * 0.1,
            -torch.arange(1.0, N + 1).repeat(channels, 1),
            torch.randn(1, length, N),
            torch.randn(1, length, N),
            torch.ones(channels),
            torch.full((channels,), -4.6),
        ]
    return [
        torch.randn(1, height, width, channels),
        torch.randn(1, height, width, K, channels) * 0.1,
        -torch.arange(1.0, N + 1).repeat(K, channels, 1),
        torch.randn(1, height, width, K, N),
        torch.randn(1, height, width, K, N),
        torch.ones(K, channels),
        torch.full((K, channels), -4.6),
    ]
