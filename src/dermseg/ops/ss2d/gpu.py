# mypy: disable-error-code="import-untyped, import-not-found"
"""The scan along directions of a map on a GPU (Triton), as an operator of autograd and `torch.compile`.

Inputs are read in the type they have, half precision included; states and sums are float32, or float64 as
soon as one input is. An image's result does not depend on how many images there are, and two runs give the
same bits: nothing is added atomically.
"""

from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import FunctionCtx
from triton.runtime.interpreter import InterpretedFunction

from dermseg.ops import checks
from dermseg.ops.ss2d import gpu_gradients, gpu_kernels

CHUNK = 64
"""Steps of one program: VM-UNet's first stage, 4096 steps of 192 channels, makes 1536 programs per image."""
TILE = 8
"""Steps whose states the backward pass holds in registers at once."""
BLOCK = 64
"""Channels of one program of the backward pass, two per lane. It decides the order of sums: it is fixed."""
AHEAD = 4
"""Steps whose loads are under way together."""


def _tuned(kernel: Any) -> Any:  # noqa: ANN401
    """Have the channels per program chosen by measurement; whichever it is, the sums and their order stay."""
    candidates = [(32, 1), (64, 1), (64, 2), (128, 4)]
    if isinstance(kernel, InterpretedFunction):  # which cannot be measured
        candidates = candidates[:1]
    configs = [triton.Config({"BLOCK": block}, num_warps=warps) for block, warps in candidates]
    return triton.autotune(configs, key=["channels", "DIRECTIONS", "STATES"])(kernel)


summarise = _tuned(gpu_kernels.summarise)
scan = _tuned(gpu_kernels.scan)
retrace = _tuned(gpu_gradients.retrace)


def ss2d_scan(
    x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, delta_bias: Tensor
) -> Tensor:
    """Scan a map along the first `len(A)` of the directions rows, columns, rows and columns reversed.

    Arguments and result are those of the reference (`dermseg.ops.ss2d.reference`), of any floating types,
    for any number of directions from 1 to 4. With one, a map of height 1 is a sequence.
    """
    # Direction first, as the product that makes the step sizes leaves them in memory: no copy then.
    inputs = [tensor.contiguous() for tensor in (x, delta.movedim(3, 0), A.mT, B, C, D, delta_bias)]
    y: Tensor = _scan(*inputs)[0]
    return y


@torch.library.custom_op("dermseg::directional_scan_triton", mutates_args=())
def _scan(
    x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, delta_bias: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the output and the states that chunks start from, for the backward pass.

    Autocast needs no rule: types may be mixed, and nothing is computed in half precision. `delta` is
    (directions, batch, H, W, channels), `A` is (directions, N, channels).
    """
    batch, _, _, channels = x.shape
    directions, states, _ = A.shape
    chunks = _chunks(x)
    dtype = checks.computing_dtype(x, delta, A, B, C, D, delta_bias)
    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
        if chunks == 1:
            starts = x.new_zeros(batch, directions, 1, states, channels, dtype=dtype)
        else:
            ends = x.new_empty(batch, directions, chunks - 1, states, channels, dtype=dtype)
            steps = x.new_empty(batch, directions, chunks - 1, channels, dtype=dtype)
            summarise[_grid(batch * directions * (chunks - 1), channels)](
                *(x, delta, A, B, delta_bias, ends, steps),
                *_sizes(x, chunks - 1),
                **_constants(A, dtype),
                ROWS=triton.next_power_of_2(states),
                CHUNK=CHUNK,
                AHEAD=AHEAD,
            )
            starts = _chain(ends, steps, A, reverse=False)
        parts = x.new_empty(directions, *x.shape, dtype=dtype)
        scan[_grid(batch * directions * chunks, channels)](
            *(x, delta, A, B, C, D, delta_bias, starts, parts),
            *_sizes(x, chunks),
            **_constants(A, dtype),
            ROWS=triton.next_power_of_2(states),
            CHUNK=CHUNK,
            AHEAD=AHEAD,
        )
        return parts.sum(0).to(x.dtype), starts


@_scan.register_fake
def _outputs(x: Tensor, delta: Tensor, A: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
    dtype = checks.computing_dtype(x, delta, A, *others)
    return x.new_empty(x.shape), x.new_empty(len(x), len(A), _chunks(x), *A.shape[1:], dtype=dtype)


@torch.library.custom_op("dermseg::directional_scan_triton_backward", mutates_args=())
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
    batch, height, width, channels = x.shape
    directions, states, _ = A.shape
    chunks = _chunks(x)
    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
        y_grad = y_grad.contiguous()  # that of a sum is one number, expanded
        tile_starts = starts.new_empty(batch, directions, -(-height * width // TILE), states, channels)
        links = starts.new_empty(batch, directions, chunks - 1, states, channels)
        steps = starts.new_empty(batch, directions, chunks - 1, channels)
        retrace[_grid(batch * directions * chunks, channels)](
            *(y_grad, x, delta, A, B, C, delta_bias, starts, tile_starts, links, steps),
            *_sizes(x, chunks),
            **_constants(A, starts.dtype),
            ROWS=triton.next_power_of_2(states),
            CHUNK=CHUNK,
            TILE=TILE,
            AHEAD=AHEAD,
        )
        flows = torch.zeros_like(starts) if chunks == 1 else _chain(links, steps, A, reverse=True)
        blocks = -(-channels // BLOCK)
        x_parts, delta_grad = starts.new_empty(directions, *x.shape), torch.empty_like(delta)
        A_parts = starts.new_zeros(batch, directions, chunks, states, channels)
        B_parts, C_parts = (starts.new_empty(blocks, *B.shape) for _ in range(2))
        D_parts, bias_parts = (starts.new_empty(batch, directions, chunks, channels) for _ in range(2))
        gpu_gradients.differentiate[(batch * directions * chunks * blocks,)](
            *(y_grad, x, delta, A, B, C, D, delta_bias, tile_starts, flows),
            *(x_parts, delta_grad, A_parts, B_parts, C_parts, D_parts, bias_parts),
            *_sizes(x, chunks),
            **_constants(A, starts.dtype),
            CHUNK=CHUNK,
            TILE=TILE,
            BLOCK=BLOCK,
            num_warps=1,
        )
        return (
            x_parts.sum(0).to(x.dtype),
            delta_grad,
            A_parts.sum((0, 2)).to(A.dtype),
            B_parts.sum(0).to(B.dtype),
            C_parts.sum(0).to(C.dtype),
            D_parts.sum((0, 2)).to(D.dtype),
            bias_parts.sum((0, 2)).to(delta_bias.dtype),
        )


@_scan_backward.register_fake
def _gradients(_y_grad: Tensor, _starts: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.new_empty(tensor.shape) for tensor in inputs)


def _remember(ctx: FunctionCtx, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1], *inputs)
    ctx.mark_non_differentiable(output[1])


def _differentiate(ctx: FunctionCtx, y_grad: Tensor, _: Tensor | None) -> tuple[Tensor, ...]:
    gradients: tuple[Tensor, ...] = _scan_backward(y_grad, *ctx.saved_tensors)  # type: ignore[attr-defined]
    return gradients


_scan.register_autograd(_differentiate, setup_context=_remember)


def _chunks(x: Tensor) -> int:
    return -(-x.shape[1] * x.shape[2] // CHUNK)


def _grid(programs: int, channels: int) -> Callable[[dict[str, int]], tuple[int]]:
    """Launch `programs` for every block of channels, however large autotuning makes it."""
    return lambda chosen: (programs * -(-channels // chosen["BLOCK"]),)


def _sizes(x: Tensor, chunks: int) -> tuple[int, ...]:
    return *x.shape, chunks


def _constants(A: Tensor, dtype: torch.dtype) -> dict[str, Any]:
    directions, states, _ = A.shape
    return {"DIRECTIONS": directions, "STATES": states, "ACC": _TYPES[dtype]}


_TYPES = {torch.float32: tl.float32, torch.float64: tl.float64}


def _chain(ends: Tensor, steps: Tensor, A: Tensor, *, reverse: bool) -> Tensor:
    """State at the start of every chunk, or, in reverse, the gradient that flows into its end."""
    batch, directions, links, states, channels = ends.shape
    starts = ends.new_empty(batch, directions, links + 1, states, channels)
    gpu_kernels.chain[(batch * directions * states * -(-channels // BLOCK),)](
        *(ends, steps, A, starts, channels, links),
        **_constants(A, ends.dtype),
        REVERSED=reverse,
        AHEAD=4 * AHEAD,
        BLOCK=BLOCK,
        num_warps=1,
    )
    return starts
