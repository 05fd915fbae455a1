"""The compiled loops of the scan along one or several directions of a map, forward and backward.

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
(K, channels). Read as vectors: x, y (batch, P, channels); delta (K, batch, P,
channels); starts (batch, K, chunks, blocks, N, BLOCK). A gradient has the shape of what it belongs to, but
those of A, D and bias are per image (batch first), and those of B and C per group (groups first); their sums
are the caller's.
"""

import math
from typing import Any, TypeAlias

from numpy.typing import NDArray

from dermseg.ops.numba_lanes import WIDTH, exp2, fill, load, prefetch, softplus, softplus_slope, store, total
from dermseg.ops.numba_math import compiled, inlined, pointer, stack

BLOCK = WIDTH  # channels of one vector
GROUPS = 4  # fewest tasks of an image that has as many blocks
LARGEST_GROUP = 6  # blocks whose states and parameters stay in the nearest cache
CHUNK = 32  # steps between kept states
TILE = CHUNK * BLOCK
HISTORY = TILE + BLOCK

LOG2_E = math.log2(math.e)
LN_2 = math.log(2)

Array: TypeAlias = NDArray[Any]
# What Python does not type: pointers into arrays and to stack memory, and vectors.
Pointer: TypeAlias = Any
Lanes: TypeAlias = Any


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
def _read(source: Pointer, index: int, width: int, scratch: Pointer) -> Lanes:
    """Return `width` elements as lanes, padded with zeros; `scratch` is stack memory for one block."""
    if width == BLOCK:
        return load(source, index)
    for i in range(BLOCK):
        scratch[i] = source[index + i] if i < width else 0.0
    return load(scratch, 0)


@inlined
def _write(lanes: Lanes, target: Pointer, index: int, width: int, scratch: Pointer) -> None:
    """Write the first `width` lanes."""
    if width == BLOCK:
        store(lanes, target, index)
    else:
        store(lanes, scratch, 0)
        for i in range(width):
            target[index + i] = scratch[i]


@inlined
def _read_parameters(
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
    workspace: Array,
) -> None:
    """Write the outputs of one task and, unless `starts` is empty, the states to keep.

    `workspace` (tasks, blocks of a group, 2 N + 2, BLOCK) holds parameters and states meanwhile.
    """
    directions, channels, states = A.shape
    batch, length = B.shape[:2]
    chunks, blocks = (length + CHUNK - 1) // CHUNK, (channels + BLOCK - 1) // BLOCK
    size = workspace.shape[1]
    groups = (blocks + size - 1) // size
    keep = starts.size > 0
    orders_at, x_at, delta_at, y_at, starts_at = (
        pointer(orders),
        pointer(x),
        pointer(delta),
        pointer(y),
        pointer(starts),
    )
    A_at, B_at, C_at, D_at, bias_at = pointer(A), pointer(B), pointer(C), pointer(D), pointer(bias)
    own_at = pointer(workspace)
    step = stack(TILE, x.dtype)
    drive = stack(TILE, x.dtype)
    out = stack(TILE, x.dtype)
    scratch = stack(BLOCK, x.dtype)
    b, group = task // groups, task % groups
    first_block, last_block = group * size, min(group * size + size, blocks)
    for k in range(directions):
        for block in range(first_block, last_block):
            own = (task * size + block - first_block) * (2 * states + 2) * BLOCK
            row, width = k * channels + block * BLOCK, min(BLOCK, channels - block * BLOCK)
            _read_parameters(A_at, D_at, bias_at, row, states, width, own_at, own)
            for i in range(states * BLOCK):
                own_at[own + (states + 2) * BLOCK + i] = 0.0
        for chunk in range(chunks):
            steps = min(CHUNK, length - chunk * CHUNK)
            order = k * length + chunk * CHUNK
            for block in range(first_block, last_block):
                own = (task * size + block - first_block) * (2 * states + 2) * BLOCK
                own_state = own + (states + 2) * BLOCK
                first = b * length * channels + block * BLOCK
                width = min(BLOCK, channels - block * BLOCK)
                if keep:
                    kept = (((b * directions + k) * chunks + chunk) * blocks + block) * states * BLOCK
                    for n in range(states):
                        store(load(own_at, own_state + n * BLOCK), starts_at, kept + n * BLOCK)
                # Pixels of a column are too far apart for the processor to guess which comes next.
                ahead, ahead_order = first + BLOCK, order
                if block + 1 == last_block:
                    ahead = b * length * channels + first_block * BLOCK
                    ahead_order = max(0, min(order + CHUNK, directions * length - CHUNK))
                direct, offset = load(own_at, own + states * BLOCK), load(own_at, own + (states + 1) * BLOCK)
                for t in range(steps):
                    place = orders_at[order + t] * channels + first
                    u = _read(x_at, place, width, scratch)
                    raw = _read(delta_at, k * batch * length * channels + place, width, scratch)
                    later = orders_at[ahead_order + t] * channels + ahead
                    prefetch(x_at, later)
                    prefetch(delta_at, k * batch * length * channels + later)
                    prefetch(y_at, later)
                    step_t = softplus(raw + offset)
                    store(step_t, step, t * BLOCK)
                    store(step_t * u, drive, t * BLOCK)
                    store(direct * u, out, t * BLOCK)
                for t in range(steps):
                    pixel = orders_at[order + t]
                    row = ((b * length + pixel) * directions + k) * states
                    step_t, drive_t = load(step, t * BLOCK), load(drive, t * BLOCK)
                    y_t = load(out, t * BLOCK)
                    for n in range(states):
                        decay = exp2(step_t * load(own_at, own + n * BLOCK))
                        h = decay * load(own_at, own_state + n * BLOCK) + B_at[row + n] * drive_t
                        store(h, own_at, own_state + n * BLOCK)
                        y_t = y_t + C_at[row + n] * h
                    place = pixel * channels + first
                    if k > 0:
                        y_t = y_t + _read(y_at, place, width, scratch)
                    _write(y_t, y_at, place, width, scratch)


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
    workspace: Array,
    rows: Array,
) -> None:
    """Write all gradients of one task.

    With g_t the gradient of the state h_t, y'_t that of the output and Ā_t = exp(Δ_t A):
    g_t = C_t y'_t + Ā_{t+1} g_{t+1}, and g_t Ā_t h_{t-1} is the gradient of Δ_t A.

    `workspace` (tasks, blocks of a group, 3 N + 4, BLOCK) holds parameters, their gradients, and
    Ā_{t+1} g_{t+1} at the end of a chunk; `rows` (tasks, 4, N, CHUNK) B, C and their gradients over a chunk.
    """
    directions, channels, states = A.shape
    batch, length = B.shape[:2]
    chunks, blocks = (length + CHUNK - 1) // CHUNK, (channels + BLOCK - 1) // BLOCK
    size = workspace.shape[1]
    groups = (blocks + size - 1) // size
    ln_2 = x.dtype.type(LN_2)
    zero = x.dtype.type(0)
    orders_at, x_at, delta_at, starts_at = pointer(orders), pointer(x), pointer(delta), pointer(starts)
    A_at, B_at, C_at, D_at, bias_at = pointer(A), pointer(B), pointer(C), pointer(D), pointer(bias)
    y_grad_at, x_grad_at, delta_grad_at = pointer(y_grad), pointer(x_grad), pointer(delta_grad)
    B_grad_at, C_grad_at = pointer(B_grad), pointer(C_grad)
    own_at, rows_at = pointer(workspace), pointer(rows)
    raw = stack(TILE, x.dtype)
    step = stack(TILE, x.dtype)
    drive = stack(TILE, x.dtype)
    out_grad = stack(TILE, x.dtype)
    step_grad = stack(TILE, x.dtype)
    drive_grad = stack(TILE, x.dtype)
    decays = stack(TILE, x.dtype)
    history = stack(HISTORY, x.dtype)
    scratch = stack(BLOCK, x.dtype)
    b, group = task // groups, task % groups
    first_block, last_block = group * size, min(group * size + size, blocks)
    parameters, room = (states + 2) * BLOCK, (3 * states + 4) * BLOCK
    B_rows = task * 4 * states * CHUNK
    C_rows = B_rows + states * CHUNK
    B_sums = C_rows + states * CHUNK
    C_sums = B_sums + states * CHUNK
    for k in range(directions):
        for block in range(first_block, last_block):
            own = (task * size + block - first_block) * room
            row, width = k * channels + block * BLOCK, min(BLOCK, channels - block * BLOCK)
            _read_parameters(A_at, D_at, bias_at, row, states, width, own_at, own)
            for i in range(parameters, room):
                own_at[own + i] = zero
        for chunk in range(chunks - 1, -1, -1):
            steps = min(CHUNK, length - chunk * CHUNK)
            order = k * length + chunk * CHUNK
            for t in range(steps):
                place = ((b * length + orders_at[order + t]) * directions + k) * states
                for n in range(states):
                    rows_at[B_rows + n * CHUNK + t] = B_at[place + n]
                    rows_at[C_rows + n * CHUNK + t] = C_at[place + n]
                    rows_at[B_sums + n * CHUNK + t] = zero
                    rows_at[C_sums + n * CHUNK + t] = zero
            for block in range(first_block, last_block):
                own = (task * size + block - first_block) * room
                own_grad, own_future = own + parameters, own + 2 * parameters
                first = b * length * channels + block * BLOCK
                width = min(BLOCK, channels - block * BLOCK)
                kept = (((b * directions + k) * chunks + chunk) * blocks + block) * states * BLOCK
                offset = load(own_at, own + (states + 1) * BLOCK)
                for t in range(steps):
                    j = t * BLOCK
                    place = orders_at[order + t] * channels + first
                    raw_t = _read(delta_at, k * batch * length * channels + place, width, scratch) + offset
                    step_t = softplus(raw_t)
                    store(raw_t, raw, j)
                    store(step_t, step, j)
                    store(step_t * _read(x_at, place, width, scratch), drive, j)
                    store(_read(y_grad_at, place, width, scratch), out_grad, j)
                    store(fill(zero), step_grad, j)
                    store(fill(zero), drive_grad, j)
                for n in range(states):
                    h, a = load(starts_at, kept + n * BLOCK), load(own_at, own + n * BLOCK)
                    store(h, history, 0)
                    for t in range(steps):
                        j = t * BLOCK
                        decay = exp2(load(step, j) * a)
                        h = decay * h + rows_at[B_rows + n * CHUNK + t] * load(drive, j)
                        store(decay, decays, j)
                        store(h, history, j + BLOCK)
                    g, a_grad = load(own_at, own_future + n * BLOCK), fill(zero)
                    for t in range(steps - 1, -1, -1):
                        j = t * BLOCK
                        at = n * CHUNK + t
                        g_t = rows_at[C_rows + at] * load(out_grad, j) + g
                        rows_at[C_sums + at] += total(load(out_grad, j) * load(history, j + BLOCK))
                        rows_at[B_sums + at] += total(g_t * load(drive, j))
                        store(load(drive_grad, j) + g_t * rows_at[B_rows + at], drive_grad, j)
                        g = g_t * load(decays, j)
                        exponent_grad = g * load(history, j)
                        store(load(step_grad, j) + exponent_grad * a, step_grad, j)
                        a_grad = a_grad + exponent_grad * load(step, j)
                    store(g, own_at, own_future + n * BLOCK)
                    store(load(own_at, own_grad + n * BLOCK) + a_grad, own_at, own_grad + n * BLOCK)
                direct = load(own_at, own + states * BLOCK)
                direct_grad = load(own_at, own_grad + states * BLOCK)
                offset_grad = load(own_at, own_grad + (states + 1) * BLOCK)
                for t in range(steps):
                    j = t * BLOCK
                    place = orders_at[order + t] * channels + first
                    u = _read(x_at, place, width, scratch)
                    # `a` held A log2(e), but what was summed is the gradient of A itself.
                    step_t_grad = load(step_grad, j) * ln_2 + load(drive_grad, j) * u
                    raw_grad = step_t_grad * softplus_slope(load(raw, j))
                    u_grad = load(drive_grad, j) * load(step, j) + load(out_grad, j) * direct
                    direct_grad = direct_grad + load(out_grad, j) * u
                    offset_grad = offset_grad + raw_grad
                    if k > 0:
                        u_grad = u_grad + _read(x_grad_at, place, width, scratch)
                    _write(u_grad, x_grad_at, place, width, scratch)
                    _write(raw_grad, delta_grad_at, k * batch * length * channels + place, width, scratch)
                store(direct_grad, own_at, own_grad + states * BLOCK)
                store(offset_grad, own_at, own_grad + (states + 1) * BLOCK)
            for t in range(steps):
                place = (((group * batch + b) * length + orders_at[order + t]) * directions + k) * states
                for n in range(states):
                    B_grad_at[place + n] = rows_at[B_sums + n * CHUNK + t]
                    C_grad_at[place + n] = rows_at[C_sums + n * CHUNK + t]
        for block in range(first_block, last_block):
            own_grad = (task * size + block - first_block) * room + parameters
            for i in range(min(BLOCK, channels - block * BLOCK)):
                channel = block * BLOCK + i
                D_grad[b, k, channel] = own_at[own_grad + states * BLOCK + i]
                bias_grad[b, k, channel] = own_at[own_grad + (states + 1) * BLOCK + i]
                for n in range(states):
                    A_grad[b, k, channel, n] = own_at[own_grad + n * BLOCK + i]
