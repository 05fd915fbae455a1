"""The compiled loop of the scan's backward pass; `cpu_blocks.py` says how it divides the work.

A gradient has the shape of what it belongs to, but those of A, D and bias are per image (batch first), and
those of B and C per group (groups first); their sums are the caller's.
"""

import math

from dermseg.ops.numba_blocks import BLOCK, read, write
from dermseg.ops.numba_lanes import fill, load, store, total
from dermseg.ops.numba_lanes_math import exp2_clamped, logistic, softplus
from dermseg.ops.numba_math import compiled, pointer, stack
from dermseg.ops.ss2d.cpu_blocks import CHUNK, TILE, Array, read_parameters

HISTORY = TILE + BLOCK
LN_2 = math.log(2)


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
            read_parameters(A_at, D_at, bias_at, row, states, width, own_at, own)
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
                    raw_t = read(delta_at, k * batch * length * channels + place, width, scratch) + offset
                    step_t = softplus(raw_t)
                    store(raw_t, raw, j)
                    store(step_t, step, j)
                    store(step_t * read(x_at, place, width, scratch), drive, j)
                    store(read(y_grad_at, place, width, scratch), out_grad, j)
                    store(fill(zero), step_grad, j)
                    store(fill(zero), drive_grad, j)
                for n in range(states):
                    h, a = load(starts_at, kept + n * BLOCK), load(own_at, own + n * BLOCK)
                    store(h, history, 0)
                    for t in range(steps):
                        j = t * BLOCK
                        decay = exp2_clamped(load(step, j) * a)
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
                    u = read(x_at, place, width, scratch)
                    # `a` held A log2(e), but what was summed is the gradient of A itself.
                    step_t_grad = load(step_grad, j) * ln_2 + load(drive_grad, j) * u
                    raw_grad = step_t_grad * logistic(load(raw, j))
                    u_grad = load(drive_grad, j) * load(step, j) + load(out_grad, j) * direct
                    direct_grad = direct_grad + load(out_grad, j) * u
                    offset_grad = offset_grad + raw_grad
                    if k > 0:
                        u_grad = u_grad + read(x_grad_at, place, width, scratch)
                    write(u_grad, x_grad_at, place, width, scratch)
                    write(raw_grad, delta_grad_at, k * batch * length * channels + place, width, scratch)
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
