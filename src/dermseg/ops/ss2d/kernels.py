"""The compiled loops of the scan along one or several directions of a map, forward and backward.

A task is one image's group of channels; it walks all directions one after the other, so every sum has a
fixed order, and no result depends on the number of threads or on the other images of a batch.

Inside a task, the sequence is cut into chunks of `CHUNK` steps, and the channels into blocks of `BLOCK`. For
every chunk and block, the inputs are copied to tiles on the stack, step after step; then, for every one of
the N states, the recurrence runs over the chunk with state and matrix in vector registers. All blocks pass
over a chunk before the next chunk, because pixels are far apart and visiting a memory page costs more than
the arithmetic of a block. The states at the start of each chunk are all that is kept for the backward pass,
which computes the others anew.

Shapes, with P pixels and K directions: orders (K, P); x, y (batch, P, 1, channels); delta (K * batch, P, 1,
channels); A (K, channels, N); B, C (batch, P, K, N); D, bias (K, channels); starts (batch, K, chunks,
blocks, N, BLOCK). A gradient has the shape of what it belongs to, but those of A, D and bias are per image
(batch first), and those of B and C per group (groups first); their sums are the caller's.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermseg.ops.numba_math import compiled, exp2, inlined, softplus, softplus_slope, stack

BLOCK = 16  # channels of one vector loop: two AVX2 registers, one AVX-512 register
GROUPS = 8  # most tasks of one image
CHUNK = 32  # steps between kept states
TILE = CHUNK * BLOCK
HISTORY = TILE + BLOCK

LOG2_E = math.log2(math.e)
LN_2 = math.log(2)

Array = NDArray[Any]


def blocks_of(channels: int) -> int:
    """Number of blocks."""
    return (channels + BLOCK - 1) // BLOCK


def groups_of(channels: int) -> int:
    """Number of tasks of an image."""
    size = (blocks_of(channels) + GROUPS - 1) // GROUPS
    return (blocks_of(channels) + size - 1) // size


@inlined
def _load(source: Array, b: int, k: int, order: Array, first: int, width: int, tile: Array) -> None:
    """Copy a chunk of `source` (batch, P, K, channels), in scan order, into a tile; pad with zeros."""
    for t in range(order.size):
        pixel = order[t]
        if width == BLOCK:  # a loop of constant length becomes a few vector instructions
            for i in range(BLOCK):
                tile[t * BLOCK + i] = source[b, pixel, k, first + i]
        else:
            for i in range(BLOCK):
                tile[t * BLOCK + i] = source[b, pixel, k, first + i] if i < width else 0.0


@inlined
def _store(
    tile: Array, b: int, k: int, order: Array, first: int, width: int, add: bool, target: Array
) -> None:
    """Write a tile into `target` (batch, P, K, channels), or add it to what is there."""
    for t in range(order.size):
        pixel = order[t]
        if width == BLOCK and add:
            for i in range(BLOCK):
                target[b, pixel, k, first + i] += tile[t * BLOCK + i]
        elif width == BLOCK:
            for i in range(BLOCK):
                target[b, pixel, k, first + i] = tile[t * BLOCK + i]
        else:
            for i in range(width):
                before = target[b, pixel, k, first + i] if add else target.dtype.type(0)
                target[b, pixel, k, first + i] = before + tile[t * BLOCK + i]


@inlined
def _load_states(source: Array, b: int, k: int, order: Array, rows: Array) -> None:
    """Copy a chunk of `source` (batch, P, K, N), in scan order, into `rows` (N, CHUNK)."""
    for t in range(order.size):
        for n in range(rows.shape[0]):
            rows[n, t] = source[b, order[t], k, n]


@inlined
def _store_states(rows: Array, group: int, b: int, k: int, order: Array, target: Array) -> None:
    """Write `rows` (N, CHUNK) into a chunk of `target` (groups, batch, P, K, N)."""
    for t in range(order.size):
        for n in range(rows.shape[0]):
            target[group, b, order[t], k, n] = rows[n, t]


@inlined
def _load_parameters(
    A: Array, D: Array, bias: Array, k: int, first: int, width: int, parameters: Array
) -> None:
    """Collect one block's parameters (N + 2, BLOCK), padded with zeros: A, D, bias.

    A is multiplied by log2(e), so that 2^x serves as e^x.
    """
    states = A.shape[2]
    for i in range(BLOCK):
        for n in range(states):
            parameters[n, i] = A[k, first + i, n] * LOG2_E if i < width else 0.0
        parameters[states, i] = D[k, first + i] if i < width else 0.0
        parameters[states + 1, i] = bias[k, first + i] if i < width else 0.0


@compiled
def forward(
    task: int,
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
    """Write the outputs of one task and, unless `starts` has no chunks, the states to keep."""
    directions, channels, states = A.shape
    batch = x.shape[0]
    length = orders.shape[1]
    blocks = starts.shape[3]
    size = (blocks + GROUPS - 1) // GROUPS  # blocks of a group
    groups = (blocks + size - 1) // size
    keep = starts.size > 0
    parameters = np.empty((size, states + 2, BLOCK), x.dtype)
    state = np.empty((size, states, BLOCK), x.dtype)
    B_rows = np.empty((states, CHUNK), x.dtype)
    C_rows = np.empty((states, CHUNK), x.dtype)
    u = stack(TILE, x.dtype)
    step = stack(TILE, x.dtype)
    drive = stack(TILE, x.dtype)
    out = stack(TILE, x.dtype)
    h = stack(BLOCK, x.dtype)
    a = stack(BLOCK, x.dtype)
    b, group = task // groups, task % groups
    for k in range(directions):
        for block in range(group * size, min(group * size + size, blocks)):
            width = min(BLOCK, channels - block * BLOCK)
            _load_parameters(A, D, bias, k, block * BLOCK, width, parameters[block - group * size])
        state[:] = 0.0
        for chunk in range((length + CHUNK - 1) // CHUNK):
            order = orders[k, chunk * CHUNK : chunk * CHUNK + CHUNK]
            _load_states(B, b, k, order, B_rows)
            _load_states(C, b, k, order, C_rows)
            for block in range(group * size, min(group * size + size, blocks)):
                local = block - group * size
                first = block * BLOCK
                width = min(BLOCK, channels - first)
                _load(x, b, 0, order, first, width, u)
                _load(delta, k * batch + b, 0, order, first, width, step)
                for t in range(order.size):
                    for i in range(BLOCK):
                        j = t * BLOCK + i
                        step[j] = softplus(step[j] + parameters[local, states + 1, i])
                        drive[j] = step[j] * u[j]
                        out[j] = parameters[local, states, i] * u[j]
                for n in range(states):
                    for i in range(BLOCK):
                        h[i] = state[local, n, i]
                        a[i] = parameters[local, n, i]
                    if keep:
                        for i in range(BLOCK):
                            starts[b, k, chunk, block, n, i] = h[i]
                    for t in range(order.size):
                        B_tn = B_rows[n, t]
                        C_tn = C_rows[n, t]
                        for i in range(BLOCK):
                            j = t * BLOCK + i
                            h[i] = exp2(step[j] * a[i]) * h[i] + B_tn * drive[j]
                            out[j] += C_tn * h[i]
                    for i in range(BLOCK):
                        state[local, n, i] = h[i]
                _store(out, b, 0, order, first, width, k > 0, y)


@compiled
def backward(
    task: int,
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
    """Write all gradients of one task.

    With g_t the gradient of the state h_t, y'_t that of the output and Ā_t = exp(Δ_t A):
    g_t = C_t y'_t + Ā_{t+1} g_{t+1}, and g_t Ā_t h_{t-1} is the gradient of Δ_t A.
    """
    directions, channels, states = A.shape
    batch = x.shape[0]
    length = orders.shape[1]
    blocks = starts.shape[3]
    size = (blocks + GROUPS - 1) // GROUPS  # blocks of a group
    groups = (blocks + size - 1) // size
    ln_2 = x.dtype.type(LN_2)
    zero = x.dtype.type(0)
    parameters = np.empty((size, states + 2, BLOCK), x.dtype)
    gradients = np.empty((size, states + 2, BLOCK), x.dtype)  # of the parameters
    future = np.empty((size, states, BLOCK), x.dtype)  # Ā_{t+1} g_{t+1} at the end of a chunk
    B_rows = np.empty((states, CHUNK), x.dtype)
    C_rows = np.empty((states, CHUNK), x.dtype)
    B_sums = np.empty((states, CHUNK), x.dtype)
    C_sums = np.empty((states, CHUNK), x.dtype)
    u = stack(TILE, x.dtype)
    raw = stack(TILE, x.dtype)
    step = stack(TILE, x.dtype)
    drive = stack(TILE, x.dtype)
    out_grad = stack(TILE, x.dtype)
    step_grad = stack(TILE, x.dtype)
    drive_grad = stack(TILE, x.dtype)
    decay = stack(TILE, x.dtype)
    history = stack(HISTORY, x.dtype)
    h = stack(BLOCK, x.dtype)
    a = stack(BLOCK, x.dtype)
    g = stack(BLOCK, x.dtype)
    a_grad = stack(BLOCK, x.dtype)
    b, group = task // groups, task % groups
    for k in range(directions):
        for block in range(group * size, min(group * size + size, blocks)):
            width = min(BLOCK, channels - block * BLOCK)
            _load_parameters(A, D, bias, k, block * BLOCK, width, parameters[block - group * size])
        gradients[:] = 0.0
        future[:] = 0.0
        for chunk in range((length - 1) // CHUNK, -1, -1):
            order = orders[k, chunk * CHUNK : chunk * CHUNK + CHUNK]
            _load_states(B, b, k, order, B_rows)
            _load_states(C, b, k, order, C_rows)
            B_sums[:] = 0.0
            C_sums[:] = 0.0
            for block in range(group * size, min(group * size + size, blocks)):
                local = block - group * size
                first = block * BLOCK
                width = min(BLOCK, channels - first)
                _load(x, b, 0, order, first, width, u)
                _load(delta, k * batch + b, 0, order, first, width, raw)
                _load(y_grad, b, 0, order, first, width, out_grad)
                for t in range(order.size):
                    for i in range(BLOCK):
                        j = t * BLOCK + i
                        raw[j] += parameters[local, states + 1, i]
                        step[j] = softplus(raw[j])
                        drive[j] = step[j] * u[j]
                        step_grad[j] = zero
                        drive_grad[j] = zero
                for n in range(states):
                    for i in range(BLOCK):
                        a[i] = parameters[local, n, i]
                        h[i] = starts[b, k, chunk, block, n, i]
                        g[i] = future[local, n, i]
                        a_grad[i] = zero
                        history[i] = h[i]
                    for t in range(order.size):
                        B_tn = B_rows[n, t]
                        for i in range(BLOCK):
                            j = t * BLOCK + i
                            decay[j] = exp2(step[j] * a[i])
                            h[i] = decay[j] * h[i] + B_tn * drive[j]
                            history[j + BLOCK] = h[i]
                    for t in range(order.size - 1, -1, -1):
                        B_tn = B_rows[n, t]
                        C_tn = C_rows[n, t]
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
                        B_sums[n, t] += B_sum
                        C_sums[n, t] += C_sum
                    for i in range(BLOCK):
                        future[local, n, i] = g[i]
                        gradients[local, n, i] += a_grad[i]
                for t in range(order.size):
                    for i in range(BLOCK):
                        j = t * BLOCK + i
                        # `a` held A log2(e), but what was summed is the gradient of A itself.
                        total = step_grad[j] * ln_2 + drive_grad[j] * u[j]
                        raw[j] = total * softplus_slope(raw[j])
                        drive[j] = drive_grad[j] * step[j] + out_grad[j] * parameters[local, states, i]
                        gradients[local, states, i] += out_grad[j] * u[j]
                        gradients[local, states + 1, i] += raw[j]
                _store(drive, b, 0, order, first, width, k > 0, x_grad)
                _store(raw, k * batch + b, 0, order, first, width, False, delta_grad)
            _store_states(B_sums, group, b, k, order, B_grad)
            _store_states(C_sums, group, b, k, order, C_grad)
        for block in range(group * size, min(group * size + size, blocks)):
            local = block - group * size
            for i in range(min(BLOCK, channels - block * BLOCK)):
                channel = block * BLOCK + i
                D_grad[b, k, channel] = gradients[local, states, i]
                bias_grad[b, k, channel] = gradients[local, states + 1, i]
                for n in range(states):
                    A_grad[b, k, channel, n] = gradients[local, n, i]
