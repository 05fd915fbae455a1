# ruff: noqa: RUF005  # Triton does not know `(*tuple, element)`
# mypy: disable-error-code="untyped-decorator, assignment, import-untyped, import-not-found"
"""Triton kernels of the scan along directions of a map: gradients.

Only the start of every chunk was kept. Backwards, `h` is needed before every step and the gradient of `h`
after it, again chunk by chunk:

1. `retrace` walks every chunk forward once more. It notes `h` at the start of every tile, a few steps, and
   what the chunk alone lets flow to the chunk before it;
2. `chain` (of the forward pass, reversed) gives every chunk the gradient that flows into it from behind;
3. `differentiate` takes the tiles of a chunk from the last to the first. One of the N states at a time, the
   history of `h` within a tile fits into registers.

No sum is left to atomic additions, whose order changes from run to run: each program writes its part of
the gradients that channels, chunks or images share, and the parts are added afterwards.

Shapes are those of `gpu_kernels`.
"""

import triton
import triton.language as tl

from dermseg.ops.ss2d.gpu_kernels import (
    LOG2_E,
    SIZES,
    load_rates,
    load_row,
    next_place,
    pixel,
    place,
    softplus,
    task,
)


@triton.jit(do_not_specialize=SIZES)
def retrace(
    y_grad: tl.tensor,
    x: tl.tensor,
    delta: tl.tensor,
    A: tl.tensor,
    B: tl.tensor,
    C: tl.tensor,
    bias: tl.tensor,
    starts: tl.tensor,
    tile_starts: tl.tensor,
    flows: tl.tensor,
    steps: tl.tensor,
    batch: int,
    height: int,
    width: int,
    channels: int,
    chunks: int,
    DIRECTIONS: tl.constexpr,
    STATES: tl.constexpr,
    ROWS: tl.constexpr,
    CHUNK: tl.constexpr,
    TILE: tl.constexpr,
    AHEAD: tl.constexpr,
    BLOCK: tl.constexpr,
    ACC: tl.constexpr,
) -> None:
    """Note `h` before every tile (batch, directions, tiles, N, channels), and what `chain` needs.

    That is, for every chunk but the first: the gradient that it passes to its predecessor if none comes from
    behind (batch, directions, chunks - 1, N, channels), and the sum of its steps.
    """
    image, k, chunk, block = task(channels, chunks, DIRECTIONS, BLOCK)
    channel = block * BLOCK + tl.arange(0, BLOCK)
    present = channel < channels
    rows = tl.arange(0, ROWS)[:, None]
    kept = (rows < STATES) & present[None, :]
    entries = rows * channels + channel[None, :]
    length = height * width
    scan = image * DIRECTIONS + k
    size = (STATES * channels).to(tl.int64)
    rates = load_rates(A, k, channels, channel, STATES, ROWS, ACC)
    shift = tl.load(bias + k * channels + channel, mask=present, other=0).to(ACC)
    h = tl.load(starts + (scan * chunks + chunk) * size + entries, mask=kept, other=0)
    y_grad += image * length * channels + channel
    x += image * length * channels + channel
    delta += (k * batch + image) * length * channels + channel
    B += (image * length * DIRECTIONS + k) * STATES
    C += (image * length * DIRECTIONS + k) * STATES
    decay = tl.full([ROWS, BLOCK], 1, ACC)
    flow = tl.zeros([ROWS, BLOCK], ACC)
    total = tl.zeros([BLOCK], ACC)
    at = place(chunk * CHUNK, k, height, width)
    for first in range(chunk * CHUNK, tl.minimum(chunk * CHUNK + CHUNK, length), AHEAD):
        if first % TILE == 0:
            tile = scan * tl.cdiv(length, TILE) + first // TILE
            tl.store(tile_starts + tile * size + entries, h, mask=kept)
        pixels = ()
        us = ()
        raws = ()
        grads = ()
        for i in tl.static_range(AHEAD):
            p = pixel(at, k, height, width)
            known = present & (first + i < length)
            pixels = pixels + (p,)
            us = us + (tl.load(x + p * channels, mask=known, other=0).to(ACC),)
            raws = raws + (tl.load(delta + p * channels, mask=known, other=0).to(ACC),)
            grads = grads + (tl.load(y_grad + p * channels, mask=known, other=0).to(ACC),)
            at = next_place(at, k, height, width)
        for i in tl.static_range(AHEAD):
            B_column = load_row(B + pixels[i] * (DIRECTIONS * STATES), STATES, ROWS, ACC)
            C_column = load_row(C + pixels[i] * (DIRECTIONS * STATES), STATES, ROWS, ACC)
            step = tl.where(first + i < length, softplus(raws[i] + shift), 0)
            a = tl.exp2(rates * step[None, :])
            h = a * h + B_column * (step * us[i])[None, :]
            decay *= a
            flow += decay * C_column * grads[i][None, :]
            total += step
    if chunk > 0:
        link = scan * (chunks - 1) + chunk - 1
        tl.store(flows + link * size + entries, flow, mask=kept)
        tl.store(steps + link * channels + channel, total, mask=present)


@triton.jit(do_not_specialize=SIZES)
def differentiate(
    y_grad: tl.tensor,
    x: tl.tensor,
    delta: tl.tensor,
    A: tl.tensor,
    B: tl.tensor,
    C: tl.tensor,
    D: tl.tensor,
    bias: tl.tensor,
    tile_starts: tl.tensor,
    flows: tl.tensor,
    x_grad: tl.tensor,
    delta_grad: tl.tensor,
    A_grad: tl.tensor,
    B_grad: tl.tensor,
    C_grad: tl.tensor,
    D_grad: tl.tensor,
    bias_grad: tl.tensor,
    batch: int,
    height: int,
    width: int,
    channels: int,
    chunks: int,
    DIRECTIONS: tl.constexpr,
    STATES: tl.constexpr,
    CHUNK: tl.constexpr,
    TILE: tl.constexpr,
    BLOCK: tl.constexpr,
    ACC: tl.constexpr,
) -> None:
    """Gradients, or this program's part of them.

    `flows` (batch, directions, chunks, N, channels) holds what flows into every chunk from behind, and is
    used up. Parts: x_grad (directions, batch, P, channels); A_grad (batch, directions, chunks, N, channels),
    zeros before; D_grad and bias_grad (batch, directions, chunks, channels); B_grad and C_grad (blocks,
    batch, P, directions, N).
    """
    image, k, chunk, block = task(channels, chunks, DIRECTIONS, BLOCK)
    channel = block * BLOCK + tl.arange(0, BLOCK)
    present = channel < channels
    length = height * width
    scan = image * DIRECTIONS + k
    size = (STATES * channels).to(tl.int64)
    shift = tl.load(bias + k * channels + channel, mask=present, other=0).to(ACC)
    direct = tl.load(D + k * channels + channel, mask=present, other=0).to(ACC)
    one_way = (k * batch + image) * length * channels + channel
    y_grad += image * length * channels + channel
    x += image * length * channels + channel
    delta += one_way
    x_grad += one_way
    delta_grad += one_way
    part = block * batch + image
    B += (image * length * DIRECTIONS + k) * STATES
    C += (image * length * DIRECTIONS + k) * STATES
    B_grad += (part * length * DIRECTIONS + k) * STATES
    C_grad += (part * length * DIRECTIONS + k) * STATES
    A += k * STATES * channels + channel
    A_grad += (scan * chunks + chunk) * size + channel
    flows += (scan * chunks + chunk) * size + channel
    direct_sum = tl.zeros([BLOCK], ACC)
    shift_sum = tl.zeros([BLOCK], ACC)
    tiles = tl.cdiv(tl.minimum(CHUNK, length - chunk * CHUNK), TILE)
    for done in range(0, tiles):
        first = chunk * CHUNK + (tiles - 1 - done) * TILE
        tile = tile_starts + (scan * tl.cdiv(length, TILE) + first // TILE) * size + channel
        at = place(first, k, height, width)
        pixels = ()
        steps = ()
        drives = ()
        grads = ()
        step_grads = ()
        drive_grads = ()
        for t in tl.static_range(TILE):
            p = pixel(at, k, height, width)
            known = present & (first + t < length)
            u = tl.load(x + p * channels, mask=known, other=0).to(ACC)
            raw = tl.load(delta + p * channels, mask=known, other=0).to(ACC)
            step = tl.where(known, softplus(raw + shift), 0)
            pixels = pixels + (p.to(tl.int32),)
            steps = steps + (step,)
            drives = drives + (step * u,)
            grads = grads + (tl.load(y_grad + p * channels, mask=known, other=0).to(ACC),)
            step_grads = step_grads + (tl.zeros([BLOCK], ACC),)
            drive_grads = drive_grads + (tl.zeros([BLOCK], ACC),)
            at = next_place(at, k, height, width)
        for n in range(0, STATES):
            rate = tl.load(A + n * channels, mask=present, other=0).to(ACC)
            h = tl.load(tile + n * channels, mask=present, other=0)
            flow = tl.load(flows + n * channels, mask=present, other=0)
            Bs = ()
            Cs = ()
            for t in tl.static_range(TILE):
                Bs = Bs + (tl.load(B + n + pixels[t] * (DIRECTIONS * STATES)).to(ACC),)
                Cs = Cs + (tl.load(C + n + pixels[t] * (DIRECTIONS * STATES)).to(ACC),)
            decays = ()
            history = (h,)
            for t in tl.static_range(TILE):
                a = tl.exp2(steps[t] * (rate * LOG2_E))
                h = a * h + Bs[t] * drives[t]
                decays = decays + (a,)
                history = history + (h,)
            new_step_grads = ()
            new_drive_grads = ()
            rate_grad = tl.zeros([BLOCK], ACC)
            for t in tl.static_range(TILE - 1, -1, -1):
                row = n + pixels[t] * (DIRECTIONS * STATES)
                exists = first + t < length
                h_grad = Cs[t] * grads[t] + flow
                tl.store(C_grad + row, tl.sum(grads[t] * history[t + 1], axis=0), mask=exists)
                tl.store(B_grad + row, tl.sum(h_grad * drives[t], axis=0), mask=exists)
                flow = decays[t] * h_grad
                exponent_grad = flow * history[t]
                rate_grad += exponent_grad * steps[t]
                new_step_grads = (step_grads[t] + exponent_grad * rate,) + new_step_grads
                new_drive_grads = (drive_grads[t] + h_grad * Bs[t],) + new_drive_grads
            step_grads = new_step_grads
            drive_grads = new_drive_grads
            tl.store(flows + n * channels, flow, mask=present)
            before = tl.load(A_grad + n * channels, mask=present, other=0)
            tl.store(A_grad + n * channels, before + rate_grad, mask=present)
        for t in tl.static_range(TILE):
            known = present & (first + t < length)
            here = pixels[t].to(tl.int64) * channels
            u = tl.load(x + here, mask=known, other=0).to(ACC)
            raw = tl.load(delta + here, mask=known, other=0).to(ACC)
            # The slope of softplus is a sigmoid.
            raw_grad = (step_grads[t] + drive_grads[t] * u) / (1 + tl.exp(-(raw + shift)))
            direct_sum += grads[t] * u
            shift_sum += tl.where(known, raw_grad, 0)
            tl.store(x_grad + here, drive_grads[t] * steps[t] + grads[t] * direct, mask=known)
            tl.store(delta_grad + here, raw_grad, mask=known)
        tl.debug_barrier()  # the next tile reads the flows and sums that this one wrote
    shared = (scan * chunks + chunk) * channels + channel
    tl.store(D_grad + shared, direct_sum, mask=present)
    tl.store(bias_grad + shared, shift_sum, mask=present)
