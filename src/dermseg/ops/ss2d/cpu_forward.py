"""The compiled loop of the scan's forward pass; `cpu_blocks.py` says how it divides the work."""

from dermseg.ops.numba_blocks import BLOCK, Pointer, read, write
from dermseg.ops.numba_lanes import fill, larger, largest, load, prefetch, store
from dermseg.ops.numba_lanes_math import HIGHEST, exp2_clamped, exp2_within, softplus
from dermseg.ops.numba_math import compiled, inlined, pointer, stack
from dermseg.ops.ss2d.cpu_blocks import CHUNK, TILE, Array, read_parameters

TOGETHER = 4  # steps whose step sizes are summed side by side, since one sum alone waits for itself


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
    step_weight: Array | None,
    y: Array,
    starts: Array,
    workspace: Array,
    constants: Array,
) -> None:
    """Write the outputs of one task and, unless `starts` is empty, the states to keep.

    With `step_weight` (K, channels, rank), the step sizes are computed here, as products with vectors of
    `rank` numbers per pixel and direction. Then `delta`, `B` and `C` are all the same array (batch, P, K,
    rank + 2 N), whose rows hold that vector, B and C.

    `workspace` (tasks, blocks of a group, 2 N + 2 + rank, BLOCK) holds parameters and states meanwhile;
    `constants` are `EXP2_CONSTANTS`.
    """
    directions, channels, states = A.shape
    batch, length = B.shape[:2]
    rank = 0 if step_weight is None else step_weight.shape[2]
    row_size = B.shape[3]
    B_in_row = rank
    C_in_row = 0 if step_weight is None else rank + states
    chunks, blocks = (length + CHUNK - 1) // CHUNK, (channels + BLOCK - 1) // BLOCK
    size = workspace.shape[1]
    room = workspace.shape[2] * BLOCK
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
    constants_at = pointer(constants)
    step = stack(TILE, x.dtype)
    drive = stack(TILE, x.dtype)
    out = stack(TILE, x.dtype)
    scratch = stack(BLOCK, x.dtype)
    zero = x.dtype.type(0)
    b, group = task // groups, task % groups
    first_block, last_block = group * size, min(group * size + size, blocks)
    for k in range(directions):
        for block in range(first_block, last_block):
            own = (task * size + block - first_block) * room
            row, width = k * channels + block * BLOCK, min(BLOCK, channels - block * BLOCK)
            read_parameters(A_at, D_at, bias_at, row, states, width, own_at, own)
            for i in range(states * BLOCK):
                own_at[own + (states + 2) * BLOCK + i] = 0.0
            if step_weight is not None:
                weights = own + (2 * states + 2) * BLOCK
                _read_weights(pointer(step_weight), row, rank, width, zero, own_at, weights)
        for chunk in range(chunks):
            steps = min(CHUNK, length - chunk * CHUNK)
            order = k * length + chunk * CHUNK
            for block in range(first_block, last_block):
                own = (task * size + block - first_block) * room
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
                if step_weight is not None:
                    weights = own + (2 * states + 2) * BLOCK
                    first_row = b * length * directions + k
                    _project(
                        delta_at,
                        orders_at,
                        order,
                        steps,
                        first_row,
                        directions,
                        row_size,
                        rank,
                        own_at,
                        weights,
                        step,
                    )
                longest = fill(zero)
                for t in range(steps):
                    place = orders_at[order + t] * channels + first
                    later = orders_at[ahead_order + t] * channels + ahead
                    prefetch(x_at, later)
                    prefetch(y_at, later)
                    if step_weight is None:
                        raw = read(delta_at, k * batch * length * channels + place, width, scratch)
                        prefetch(delta_at, k * batch * length * channels + later)
                    else:
                        raw = load(step, t * BLOCK)
                    u = read(x_at, place, width, scratch)
                    step_t = softplus(raw + offset)
                    longest = larger(step_t, longest)  # which passes over a NaN
                    store(step_t, step, t * BLOCK)
                    store(step_t * u, drive, t * BLOCK)
                    store(direct * u, out, t * BLOCK)
                bound = fill(zero)
                for n in range(states):
                    exponent = longest * load(own_at, own + n * BLOCK)
                    bound = larger(exponent, larger(zero - exponent, bound))
                within = largest(bound) <= HIGHEST  # so the power needs no limits
                for t in range(steps):
                    pixel = orders_at[order + t]
                    row = ((b * length + pixel) * directions + k) * row_size
                    B_row, C_row = row + B_in_row, row + C_in_row
                    step_t, drive_t = load(step, t * BLOCK), load(drive, t * BLOCK)
                    y_t = load(out, t * BLOCK)
                    for n in range(states):
                        exponent = step_t * load(own_at, own + n * BLOCK)
                        decay = exp2_within(exponent, constants_at) if within else exp2_clamped(exponent)
                        h = decay * load(own_at, own_state + n * BLOCK) + B_at[B_row + n] * drive_t
                        store(h, own_at, own_state + n * BLOCK)
                        y_t = y_t + C_at[C_row + n] * h
                    place = pixel * channels + first
                    if k > 0:
                        y_t = y_t + read(y_at, place, width, scratch)
                    write(y_t, y_at, place, width, scratch)


@inlined
def _read_weights(
    weight: Pointer, row: int, rank: int, width: int, zero: float, parameters: Pointer, own: int
) -> None:
    """Collect a block's rows of the step projection as lanes (rank, BLOCK); pad with zeros."""
    for r in range(rank):
        for i in range(BLOCK):
            parameters[own + r * BLOCK + i] = weight[(row + i) * rank + r] if i < width else zero


@inlined
def _project(
    rows: Pointer,
    orders: Pointer,
    order: int,
    steps: int,
    first_row: int,
    rows_of_pixel: int,
    row_size: int,
    rank: int,
    weights_at: Pointer,
    weights: int,
    result: Pointer,
) -> None:
    """Write products of a block's weights with the first `rank` numbers of successive pixels' rows."""
    for t in range(0, steps, TOGETHER):
        # Of the last few, one is computed again and again.
        row_0 = (first_row + orders[order + t] * rows_of_pixel) * row_size
        row_1 = (first_row + orders[order + min(t + 1, steps - 1)] * rows_of_pixel) * row_size
        row_2 = (first_row + orders[order + min(t + 2, steps - 1)] * rows_of_pixel) * row_size
        row_3 = (first_row + orders[order + min(t + 3, steps - 1)] * rows_of_pixel) * row_size
        weight = load(weights_at, weights)
        sum_0, sum_1 = weight * rows[row_0], weight * rows[row_1]
        sum_2, sum_3 = weight * rows[row_2], weight * rows[row_3]
        for r in range(1, rank):
            weight = load(weights_at, weights + r * BLOCK)
            sum_0 = sum_0 + weight * rows[row_0 + r]
            sum_1 = sum_1 + weight * rows[row_1 + r]
            sum_2 = sum_2 + weight * rows[row_2 + r]
            sum_3 = sum_3 + weight * rows[row_3 + r]
        # A tile is a multiple of `TOGETHER` steps, so there is room for the repeated ones.
        store(sum_0, result, t * BLOCK)
        store(sum_1, result, (t + 1) * BLOCK)
        store(sum_2, result, (t + 2) * BLOCK)
        store(sum_3, result, (t + 3) * BLOCK)
