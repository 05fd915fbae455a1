"""The compiled loops of the scan along one or several directions of a map, forward and backward.

A task is one image's group of `GROUP` channels; it walks all directions one after the other, so every sum
has a fixed order, and no result depends on the number of threads or on the other images of a batch.

Inside a task, `BLOCK` channels move along the sequence together, `CHUNK` steps at a time. A chunk's inputs
are copied to tiles on the stack, step after step; then, for every one of the N states, the recurrence runs
over the chunk with state and matrix in vector registers. The states at the start of each chunk are all that
is kept for the backward pass, which computes the others anew.

Shapes, with P pixels and K directions: orders (K, P); x, y (batch, P, 1, channels); delta (batch, P, K,
channels); A (K, channels, N); B, C (batch, P, K, N); D, bias (K, channels); starts (batch, K, chunks,
blocks, N, BLOCK). A gradient has the shape of what it belongs to, but those of A, D and bias are per image
(batch first), and those of B and C per image group (groups first); their sums are the caller's.
"""

import math
from typing import Any

import numpy as np
from numba import carray
from numpy.typing import NDArray

from dermseg.ops.numba_math import compiled, exp2, inlined, softplus, softplus_slope, stack

BLOCK = 16  # channels of one vector loop: two AVX2 registers, one AVX-512 register
GROUP = 2  # blocks of one task
CHUNK = 32  # steps between kept states
TILE = CHUNK * BLOCK
HISTORY = TILE + BLOCK

LOG2_E = math.log2(math.e)
LN_2 = math.log(2)

Array = NDArray[Any]


@inlined
def _fill(array: Array, value: float) -> None:
    for j in range(array.size):
        array[j] = value


@inlined
def _load(source: Array, b: int, k: int, order: Array, first: int, width: int, tile: Array) -> None:
    """Copy a chunk of `source` (batch, P, K, channels), in scan order, into a tile."""
    for t in range(order.size):
        for i in range(width):
            tile[t * BLOCK + i] = source[b, order[t], k, first + i]


@inlined
def _load_row(source: Array, k: int, first: int, width: int, row: Array) -> None:
    """Copy one block of `source` (K, channels), the rest of the row being zero."""
    for i in range(BLOCK):
        row[i] = source[k, first + i] if i < width else 0.0


@inlined
def _load_matrix(A: Array, k: int, first: int, width: int, scaled: Array) -> None:
    """Transpose one block of A to (N, BLOCK), times log2(e) so that 2^x serves as e^x."""
    for n in range(A.shape[2]):
        for i in range(BLOCK):
            scaled[n, i] = A[k, first + i, n] * LOG2_E if i < width else 0.0


@compiled
def forward(
    first_task: int,
    last_task: int,
    orders: Array,
    x: Array,
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array,
    bias: Array,
    y: Array,
    starts: Array,
) -> None:
    """Write outputs and kept states of the tasks from `first_task` up to, not including, `last_task`."""
    directions, channels, states = A.shape
    length = orders.shape[1]
    blocks = (channels + BLOCK - 1) // BLOCK
    groups = (blocks + GROUP - 1) // GROUP
    matrix = np.empty((states, BLOCK), x.dtype)
    state = np.empty((states, BLOCK), x.dtype)
    u = carray(stack(TILE, x.dtype), TILE)
    step = carray(stack(TILE, x.dtype), TILE)
    drive = carray(stack(TILE, x.dtype), TILE)
    out = carray(stack(TILE, x.dtype), TILE)
    h = carray(stack(BLOCK, x.dtype), BLOCK)
    a = carray(stack(BLOCK, x.dtype), BLOCK)
    skip = carray(stack(BLOCK, x.dtype), BLOCK)
    shift = carray(stack(BLOCK, x.dtype), BLOCK)
    for task in range(first_task, last_task):
        b, group = task // groups, task % groups
        for block in range(group * GROUP, min(group * GROUP + GROUP, blocks)):
            first = block * BLOCK
            width = min(BLOCK, channels - first)
            _fill(u, 0.0)
            _fill(step, 0.0)
            for k in range(directions):
                _load_matrix(A, k, first, width, matrix)
                _load_row(D, k, first, width, skip)
                _load_row(bias, k, first, width, shift)
                state[:] = 0.0
                for start in range(0, length, CHUNK):
                    order = orders[k, start : start + CHUNK]
                    _load(x, b, 0, order, first, width, u)
                    _load(delta, b, k, order, first, width, step)
                    for t in range(order.size):
                        for i in range(BLOCK):
                            j = t * BLOCK + i
                            step[j] = softplus(step[j] + shift[i])
                            drive[j] = step[j] * u[j]
                            out[j] = skip[i] * u[j]
                    for n in range(states):
                        for i in range(BLOCK):
                            h[i] = state[n, i]
                            a[i] = matrix[n, i]
                            starts[b, k, start // CHUNK, block, n, i] = h[i]
                        for t in range(order.size):
                            B_tn = B[b, order[t], k, n]
                            C_tn = C[b, order[t], k, n]
                            for i in range(BLOCK):
                                j = t * BLOCK + i
                                h[i] = exp2(step[j] * a[i]) * h[i] + B_tn * drive[j]
                                out[j] += C_tn * h[i]
                        for i in range(BLOCK):
                            state[n, i] = h[i]
                    for t in range(order.size):
                        for i in range(width):
                            before = y[b, order[t], 0, first + i] if k > 0 else x.dtype.type(0)
                            y[b, order[t], 0, first + i] = before + out[t * BLOCK + i]


@compiled
def backward(
    first_task: int,
    last_task: int,
    orders: Array,
    x: Array,
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array,
    bias: Array,
    starts: Array,
    y_grad: Array,
    x_grad: Array,
    delta_grad: Array,
    A_grad: Array,
    B_grad: Array,
    C_grad: Array,
    D_grad: Array,
    bias_grad: Array,
) -> None:
    """Write all gradients of the tasks from `first_task` up to, not including, `last_task`.

    With g_t the gradient of the state h_t and Ā_t = exp(Δ_t A):
    g_t = C_t y'_t + Ā_{t+1} g_{t+1}, and g_t Ā_t h_{t-1} is the gradient of Δ_t A.
    """
    directions, channels, states = A.shape
    length = orders.shape[1]
    blocks = (channels + BLOCK - 1) // BLOCK
    groups = (blocks + GROUP - 1) // GROUP
    ln_2 = x.dtype.type(LN_2)
    zero = x.dtype.type(0)
    matrix = np.empty((states, BLOCK), x.dtype)
    future = np.empty((states, BLOCK), x.dtype)
    matrix_grad = np.empty((states, BLOCK), x.dtype)
    u = carray(stack(TILE, x.dtype), TILE)
    raw = carray(stack(TILE, x.dtype), TILE)
    step = carray(stack(TILE, x.dtype), TILE)
    drive = carray(stack(TILE, x.dtype), TILE)
    out_grad = carray(stack(TILE, x.dtype), TILE)
    step_grad = carray(stack(TILE, x.dtype), TILE)
    drive_grad = carray(stack(TILE, x.dtype), TILE)
    decay = carray(stack(TILE, x.dtype), TILE)
    history = carray(stack(HISTORY, x.dtype), HISTORY)
    h = carray(stack(BLOCK, x.dtype), BLOCK)
    a = carray(stack(BLOCK, x.dtype), BLOCK)
    g = carray(stack(BLOCK, x.dtype), BLOCK)
    a_grad = carray(stack(BLOCK, x.dtype), BLOCK)
    skip = carray(stack(BLOCK, x.dtype), BLOCK)
    shift = carray(stack(BLOCK, x.dtype), BLOCK)
    skip_grad = carray(stack(BLOCK, x.dtype), BLOCK)
    shift_grad = carray(stack(BLOCK, x.dtype), BLOCK)
    for task in range(first_task, last_task):
        b, group = task // groups, task % groups
        for block in range(group * GROUP, min(group * GROUP + GROUP, blocks)):
            first = block * BLOCK
            width = min(BLOCK, channels - first)
            _fill(u, 0.0)
            _fill(raw, 0.0)
            _fill(out_grad, 0.0)
            for k in range(directions):
                _load_matrix(A, k, first, width, matrix)
                _load_row(D, k, first, width, skip)
                _load_row(bias, k, first, width, shift)
                _fill(skip_grad, 0.0)
                _fill(shift_grad, 0.0)
                future[:] = 0.0
                matrix_grad[:] = 0.0
                for chunk in range((length - 1) // CHUNK, -1, -1):
                    order = orders[k, chunk * CHUNK : chunk * CHUNK + CHUNK]
                    _load(x, b, 0, order, first, width, u)
                    _load(delta, b, k, order, first, width, raw)
                    _load(y_grad, b, 0, order, first, width, out_grad)
                    for t in range(order.size):
                        for i in range(BLOCK):
                            j = t * BLOCK + i
                            raw[j] += shift[i]
                            step[j] = softplus(raw[j])
                            drive[j] = step[j] * u[j]
                            step_grad[j] = zero
                            drive_grad[j] = zero
                    for n in range(states):
                        for i in range(BLOCK):
                            a[i] = matrix[n, i]
                            h[i] = starts[b, k, chunk, block, n, i]
                            g[i] = future[n, i]
                            a_grad[i] = zero
                            history[i] = h[i]
                        for t in range(order.size):
                            B_tn = B[b, order[t], k, n]
                            for i in range(BLOCK):
                                j = t * BLOCK + i
                                decay[j] = exp2(step[j] * a[i])
                                h[i] = decay[j] * h[i] + B_tn * drive[j]
                                history[j + BLOCK] = h[i]
                        for t in range(order.size - 1, -1, -1):
                            B_tn = B[b, order[t], k, n]
                            C_tn = C[b, order[t], k, n]
                            B_sum = zero
                            C_sum = zero
                            for i in range(BLOCK):
                                j = t * BLOCK + i
                                g_t = C_tn * out_grad[j] + g[i]
                                C_sum += out_grad[j] * history[j + BLOCK]
                                B_sum += g_t * drive[j]
                                drive_grad[j] += g_t * B_tn
                                g[i] = g_t * decay[j]
                                exponent_grad = g[i] * history[j]
                                step_grad[j] += exponent_grad * a[i]
                                a_grad[i] += exponent_grad * step[j]
                            B_grad[group, b, order[t], k, n] += B_sum
                            C_grad[group, b, order[t], k, n] += C_sum
                        for i in range(BLOCK):
                            future[n, i] = g[i]
                            matrix_grad[n, i] += a_grad[i]
                    for t in range(order.size):
                        for i in range(BLOCK):
                            j = t * BLOCK + i
                            # `a` holds A log2(e); its gradient is taken with respect to A itself.
                            total = step_grad[j] * ln_2 + drive_grad[j] * u[j]
                            raw[j] = total * softplus_slope(raw[j])
                            shift_grad[i] += raw[j]
                            skip_grad[i] += out_grad[j] * u[j]
                            drive[j] = drive_grad[j] * step[j] + out_grad[j] * skip[i]
                    for t in range(order.size):
                        for i in range(width):
                            j = t * BLOCK + i
                            before = x_grad[b, order[t], 0, first + i] if k > 0 else zero
                            x_grad[b, order[t], 0, first + i] = before + drive[j]
                            delta_grad[b, order[t], k, first + i] = raw[j]
                for i in range(width):
                    D_grad[b, k, first + i] = skip_grad[i]
                    bias_grad[b, k, first + i] = shift_grad[i]
                    for n in range(states):
                        A_grad[b, k, first + i, n] = matrix_grad[n, i]
