"""The scan along directions of a map on a CPU, as an operator that autograd and `torch.compile` know."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import FunctionCtx

from dermseg.ops import memory, numba_threads
from dermseg.ops.numba_blocks import BLOCK
from dermseg.ops.numba_lanes_math import EXP2_CONSTANTS
from dermseg.ops.ss2d.cpu_backward import backward
from dermseg.ops.ss2d.cpu_blocks import CHUNK, blocks_of, group_size, groups_of
from dermseg.ops.ss2d.cpu_forward import forward

memory.keep_freed_memory()


def ss2d_scan(
    x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, delta_bias: Tensor
) -> Tensor:
    """Scan a map along the first `len(A)` of the directions rows, columns, rows and columns reversed.

    Arguments and result are those of the reference (`dermseg.ops.ss2d.reference`), float32 or float64, for
    any number of directions from 1 to 4. With one, a map of height 1 is a sequence.
    """
    # Here, so that a copy is made once and kept for the backward pass. Step sizes of all directions are one
    # batched product, which leaves the direction first in memory: in this order they need no copy at all.
    inputs = [tensor.contiguous() for tensor in (x, delta.movedim(3, 0), A, B, C, D, delta_bias)]
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    y: Tensor = _scan(*inputs, keep)[0]
    return y


def projected_ss2d_scan(
    x: Tensor, projected: Tensor, step_weight: Tensor, A: Tensor, D: Tensor, delta_bias: Tensor
) -> Tensor:
    """Scan as `ss2d_scan` does, once no gradient is wanted; step sizes are never all in memory.

    Arguments and result are those of the public function, all float32 or all float64.
    """
    rank, states = step_weight.shape[-1], A.shape[-1]
    y, no_starts = torch.empty_like(x, memory_format=torch.contiguous_format), x.new_empty(0)
    workspace = _blocks_workspace(x, 2 * states + 2 + rank)
    _run(
        forward,
        (x, projected, A, projected, projected, D, delta_bias),
        (step_weight.contiguous(), y, no_starts, workspace, EXP2_CONSTANTS),
    )
    return y


@torch.library.custom_op("dermseg::directional_scan", mutates_args=(), device_types="cpu")
def _scan(
    x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, delta_bias: Tensor, keep: bool
) -> tuple[Tensor, Tensor]:
    """Return the output and, if `keep`, the states that the backward pass starts from.

    `delta` is (directions, batch, H, W, channels) here and in the backward pass; the rest is as outside.
    """
    y, starts = _outputs(x, delta, A, B, C, D, delta_bias, keep)
    workspace = _blocks_workspace(x, 2 * A.shape[-1] + 2)
    _run(forward, (x, delta, A, B, C, D, delta_bias), (None, y, starts, workspace, EXP2_CONSTANTS))
    return y, starts


@_scan.register_fake
def _outputs(
    x: Tensor, _delta: Tensor, A: Tensor, _B: Tensor, _C: Tensor, _D: Tensor, _bias: Tensor, keep: bool
) -> tuple[Tensor, Tensor]:
    batch, height, width, channels = x.shape
    directions, _, states = A.shape
    chunks = (height * width + CHUNK - 1) // CHUNK if keep else 0
    starts = x.new_empty(batch, directions, chunks, blocks_of(channels), states, BLOCK)
    return x.new_empty(x.shape), starts


@torch.library.custom_op("dermseg::directional_scan_backward", mutates_args=(), device_types="cpu")
def _scan_backward(
    y_grad: Tensor,
    starts: Tensor,
    x: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    delta_bias: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    batch = len(x)
    groups = groups_of(x.shape[-1])
    y_grad = y_grad.contiguous()  # that of a sum is one number, expanded
    x_grad, delta_grad = x.new_empty(x.shape), x.new_empty(delta.shape)
    A_grad, D_grad, bias_grad = (x.new_empty(batch, *t.shape) for t in (A, D, delta_bias))
    B_grad, C_grad = (x.new_empty(groups, *_by_pixel(t).shape) for t in (B, C))
    rows = x.new_empty(batch * groups, 4, A.shape[-1], CHUNK)
    outputs = (A_grad, B_grad, C_grad, D_grad, bias_grad, _blocks_workspace(x, 3 * A.shape[-1] + 4), rows)
    _run(
        backward,
        (x, delta, A, B, C, D, delta_bias),
        (starts, y_grad, x_grad, delta_grad, *outputs),
    )
    return (
        x_grad,
        delta_grad,
        _sum(A_grad),
        _sum(B_grad).view(B.shape),
        _sum(C_grad).view(C.shape),
        _sum(D_grad),
        _sum(bias_grad),
    )


@_scan_backward.register_fake
def _gradients(_y_grad: Tensor, _starts: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.new_empty(tensor.shape) for tensor in inputs)


def _remember(ctx: FunctionCtx, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1], *inputs[:-1])
    ctx.mark_non_differentiable(output[1])


def _differentiate(ctx: FunctionCtx, y_grad: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    return *_scan_backward(y_grad, *ctx.saved_tensors), None  # type: ignore[attr-defined]


_scan.register_autograd(_differentiate, setup_context=_remember)
_scan.register_autocast("cpu", torch.float32)
_scan_backward.register_autocast("cpu", torch.float32)


def _run(
    kernel: Callable[..., None],
    inputs: tuple[Tensor, ...],
    others: tuple[Tensor | NDArray[Any] | None, ...],
) -> None:
    """Run a kernel on every group of channels of every image."""
    x, delta, A, B, C, D, delta_bias = (tensor.detach().contiguous() for tensor in inputs)
    batch, height, width, channels = x.shape
    views = (x, delta, A, _by_pixel(B), _by_pixel(C), D, delta_bias)
    numba_threads.run(
        kernel,
        batch * groups_of(channels),
        x.numel() * len(A) * A.shape[-1],
        _orders(height, width, len(A)),
        *(each.detach().numpy() if isinstance(each, Tensor) else each for each in (*views, *others)),
    )


def _blocks_workspace(x: Tensor, rows: int) -> Tensor:
    """Memory for so many rows per block of channels (tasks, blocks of a group, rows, BLOCK)."""
    batch, channels = len(x), x.shape[-1]
    return x.new_empty(batch * groups_of(channels), group_size(channels), rows, BLOCK)


@lru_cache(maxsize=16)
def _orders(height: int, width: int, directions: int) -> NDArray[np.int64]:
    """Pixel visited at every step (directions, height * width)."""
    rows = np.arange(height * width, dtype=np.int64)
    columns = rows.reshape(height, width).T.ravel()
    return np.stack([rows, columns, rows[::-1], columns[::-1]][:directions])


def _by_pixel(tensor: Tensor) -> Tensor:
    """View (batch, H, W, ...) as (batch, P, ...)."""
    return tensor.flatten(1, 2)


def _sum(parts: Tensor) -> Tensor:
    """Add along the first dimension, always in the same order."""
    total = parts[0].clone()
    for part in parts[1:]:
        total += part
    return total
