# ruff: noqa: RUF005, SIM108  # Triton does not know `(*tuple, element)`, nor branches of two types
# mypy: disable-error-code="untyped-decorator, assignment, import-untyped, import-not-found"
"""Triton kernels of the scan along directions of a map: forward.

A sequence is cut into chunks, so that long sequences of few channels fill a GPU as well:

1. `summarise`: where every chunk would end had it started from nothing, and the sum of its step sizes. The
   decay of a whole chunk is the exponential of that sum;
2. `chain`: a short scan over chunks, which gives every chunk the state that it starts from;
3. `scan`: every chunk from its start.

Lanes are channels, with all their states in registers, and a program walks the pixels of one chunk in the
order of one direction. So every load and store of the large tensors is a row of adjacent channels, nothing is
ever exchanged between lanes, and no map is copied into the order of a scan.

Shapes: x, y (batch, P, channels); delta (directions, batch, P, channels); B, C (batch, P, directions, N);
A (directions, N, channels); D, bias (directions, channels); states of chunks (batch, directions, chunks, N,
channels). P = height * width, the length of every scan. `ACC` is the type of states and sums.
"""

import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)

SIZES = ["batch", "height", "width", "channels", "chunks"]
"""Arguments that no kernel is compiled for: a network meets many, and loads are of single channels anyway."""


@triton.jit
def task(channels: int, chunks: int, DIRECTIONS: tl.constexpr, BLOCK: tl.constexpr) -> tuple[tl.tensor, ...]:
    """Say which image, direction, chunk and block of channels this program works on."""
    program = tl.program_id(0)
    blocks = tl.cdiv(channels, BLOCK)
    block = program % blocks
    chunk = program // blocks % chunks
    k = program // (blocks * chunks) % DIRECTIONS
    image = program // (blocks * chunks * DIRECTIONS)
    return image.to(tl.int64), k, chunk, block


@triton.jit
def place(t: tl.tensor, k: tl.tensor, height: int, width: int) -> tl.tensor:
    """Place of step `t` on the unreversed path: pixels along rows, or along columns if `k` is odd."""
    return tl.where(k % 2 == 1, t % height * width + t // height, t)


@triton.jit
def next_place(place: tl.tensor, k: tl.tensor, height: int, width: int) -> tl.tensor:
    """Place after `place`; below the last row comes the top of the next column."""
    last = height * width - 1
    below = place + tl.where(k % 2 == 1, width, 1)
    return tl.where(below > last, tl.minimum(below - last, last), below)  # a pixel of the map in any case


@triton.jit
def pixel(place: tl.tensor, k: tl.tensor, height: int, width: int) -> tl.tensor:
    """Pixel at a place of the path of direction `k`: the last two directions walk the first two backwards."""
    return tl.where(k >= 2, height * width - 1 - place, place).to(tl.int64)


@triton.jit
def softplus(x: tl.tensor) -> tl.tensor:
    """Logarithm of 1 + e^x, exact to a few units in the last place for small results as well."""
    e = tl.exp(-tl.abs(x))
    above_one = 1 + e
    # What rounding 1 + e lost is put back: log(1 + e) = e log(w) / (w - 1) where w is what was kept.
    log = tl.where(above_one == 1, e, tl.log(above_one) * (e / (above_one - 1)))
    return tl.maximum(x, 0) + log


@triton.jit
def load_rates(
    A: tl.tensor,
    k: tl.tensor,
    channels: int,
    channel: tl.tensor,
    STATES: tl.constexpr,
    ROWS: tl.constexpr,
    ACC: tl.constexpr,
) -> tl.tensor:
    """Rows A[:, n] of a direction, times log2(e), for all n and the given channels (ROWS, BLOCK)."""
    n = tl.arange(0, ROWS)[:, None]
    address = A + (k * STATES + n) * channels + channel[None, :]
    return tl.load(address, mask=(n < STATES) & (channel[None, :] < channels), other=0).to(ACC) * LOG2_E


@triton.jit
def load_row(row: tl.tensor, STATES: tl.constexpr, ROWS: tl.constexpr, ACC: tl.constexpr) -> tl.tensor:
    """N adjacent numbers, with zeros up to `ROWS`, as a column (ROWS, 1)."""
    n = tl.arange(0, ROWS)
    if ROWS == STATES:
        found = tl.load(row + n)
    else:
        found = tl.load(row + n, mask=n < STATES, other=0)
    return found.to(ACC)[:, None]


@triton.jit(do_not_specialize=SIZES)
def summarise(
    x: tl.tensor,
    delta: tl.tensor,
    A: tl.tensor,
    B: tl.tensor,
    bias: tl.tensor,
    ends: tl.tensor,
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
    AHEAD: tl.constexpr,
    BLOCK: tl.constexpr,
    ACC: tl.constexpr,
) -> None:
    """End of every whole chunk that starts from nothing (..., chunks, N, channels), and its summed steps.

    `chunks` counts whole chunks: the last one of a sequence, which may be shorter, has no successor to tell.
    """
    image, k, chunk, block = task(channels, chunks, DIRECTIONS, BLOCK)
    channel = block * BLOCK + tl.arange(0, BLOCK)
    present = channel < channels
    n = tl.arange(0, ROWS)
    length = height * width
    rates = load_rates(A, k, channels, channel, STATES, ROWS, ACC)
    shift = tl.load(bias + k * channels + channel, mask=present, other=0).to(ACC)
    x += image * length * channels
    delta += (k * batch + image) * length * channels
    B += (image * length * DIRECTIONS + k) * STATES
    h = tl.zeros([ROWS, BLOCK], ACC)
    total = tl.zeros([BLOCK], ACC)
    at = place(chunk * CHUNK, k, height, width)
    for _ in range(0, CHUNK, AHEAD):
        # The loads of a few steps are under way together.
        pixels = ()
        us = ()
        raws = ()
        for _i in tl.static_range(AHEAD):
            p = pixel(at, k, height, width)
            pixels = pixels + (p,)
            us = us + (tl.load(x + p * channels + channel, mask=present, other=0).to(ACC),)
            raws = raws + (tl.load(delta + p * channels + channel, mask=present, other=0).to(ACC),)
            at = next_place(at, k, height, width)
        for i in tl.static_range(AHEAD):
            B_column = load_row(B + pixels[i] * (DIRECTIONS * STATES), STATES, ROWS, ACC)
            step = softplus(raws[i] + shift)
            h = tl.exp2(rates * step[None, :]) * h + B_column * (step * us[i])[None, :]  # Eqs 2, 3
            total += step
    summary = ((image * DIRECTIONS + k) * chunks + chunk) * channels + channel
    rows = n[:, None]
    tl.store(
        ends + (summary - channel)[None, :] * STATES + rows * channels + channel[None, :],
        h,
        mask=(rows < STATES) & present[None, :],
    )
    tl.store(steps + summary, total, mask=present)


@triton.jit(do_not_specialize=SIZES)
def chain(
    ends: tl.tensor,
    steps: tl.tensor,
    A: tl.tensor,
    starts: tl.tensor,
    channels: int,
    chunks: int,
    DIRECTIONS: tl.constexpr,
    STATES: tl.constexpr,
    REVERSED: tl.constexpr,
    AHEAD: tl.constexpr,
    BLOCK: tl.constexpr,
    ACC: tl.constexpr,
) -> None:
    """Carry a state through the chunks of one direction, channel by channel, one of the N per program.

    `ends` and `steps` say what the chunks after the first add, and how much they decay: entry j of `chunks`
    belongs to the step from start j to start j + 1 (from j + 1 to j if `REVERSED`). There is one start more.
    """
    program = tl.program_id(0)
    blocks = tl.cdiv(channels, BLOCK)
    channel = program % blocks * BLOCK + tl.arange(0, BLOCK)
    present = channel < channels
    n = program // blocks % STATES
    scan = (program // (blocks * STATES)).to(tl.int64)  # image * DIRECTIONS + k
    row = A + (scan % DIRECTIONS * STATES + n) * channels
    rate = tl.load(row + channel, mask=present, other=0).to(ACC) * LOG2_E
    steps += scan * chunks * channels + channel
    ends += (scan * chunks * STATES + n) * channels + channel
    starts += (scan * (chunks + 1) * STATES + n) * channels + channel
    carry = tl.zeros([BLOCK], ACC)
    size = (STATES * channels).to(tl.int64)
    tl.store(starts + (chunks if REVERSED else 0) * size, carry, mask=present)
    for done in range(0, chunks, AHEAD):
        added = ()
        decays = ()
        for i in tl.static_range(AHEAD):
            j = chunks - 1 - done - i if REVERSED else done + i
            known = present & (done + i < chunks)
            added = added + (tl.load(ends + j * size, mask=known, other=0),)
            decays = decays + (tl.exp2(rate * tl.load(steps + j * channels, mask=known, other=0)),)
        for i in tl.static_range(AHEAD):
            carry = decays[i] * carry + added[i]
            j = chunks - 1 - done - i if REVERSED else done + i + 1
            tl.store(starts + j * size, carry, mask=present & (done + i < chunks))


@triton.jit(do_not_specialize=SIZES)
def scan(
    x: tl.tensor,
    delta: tl.tensor,
    A: tl.tensor,
    B: tl.tensor,
    C: tl.tensor,
    D: tl.tensor,
    bias: tl.tensor,
    starts: tl.tensor,
    y: tl.tensor,
    batch: int,
    height: int,
    width: int,
    channels: int,
    chunks: int,
    DIRECTIONS: tl.constexpr,
    STATES: tl.constexpr,
    ROWS: tl.constexpr,
    CHUNK: tl.constexpr,
    AHEAD: tl.constexpr,
    BLOCK: tl.constexpr,
    ACC: tl.constexpr,
) -> None:
    """Output of every direction (directions, batch, P, channels), each chunk from its start."""
    image, k, chunk, block = task(channels, chunks, DIRECTIONS, BLOCK)
    channel = block * BLOCK + tl.arange(0, BLOCK)
    present = channel < channels
    n = tl.arange(0, ROWS)
    rows = n[:, None]
    length = height * width
    rates = load_rates(A, k, channels, channel, STATES, ROWS, ACC)
    shift = tl.load(bias + k * channels + channel, mask=present, other=0).to(ACC)
    direct = tl.load(D + k * channels + channel, mask=present, other=0).to(ACC)
    start = ((image * DIRECTIONS + k) * chunks + chunk) * STATES * channels
    h = tl.load(
        starts + start + rows * channels + channel[None, :],
        mask=(rows < STATES) & present[None, :],
        other=0,
    )
    x += image * length * channels
    delta += (k * batch + image) * length * channels
    y += (k * batch + image) * length * channels
    B += (image * length * DIRECTIONS + k) * STATES
    C += (image * length * DIRECTIONS + k) * STATES
    at = place(chunk * CHUNK, k, height, width)
    for first in range(chunk * CHUNK, tl.minimum(chunk * CHUNK + CHUNK, length), AHEAD):
        pixels = ()
        us = ()
        raws = ()
        outputs = ()
        for _i in tl.static_range(AHEAD):
            p = pixel(at, k, height, width)
            pixels = pixels + (p,)
            us = us + (tl.load(x + p * channels + channel, mask=present, other=0).to(ACC),)
            raws = raws + (tl.load(delta + p * channels + channel, mask=present, other=0).to(ACC),)
            at = next_place(at, k, height, width)
        for i in tl.static_range(AHEAD):
            B_column = load_row(B + pixels[i] * (DIRECTIONS * STATES), STATES, ROWS, ACC)
            C_column = load_row(C + pixels[i] * (DIRECTIONS * STATES), STATES, ROWS, ACC)
            step = softplus(raws[i] + shift)
            h = tl.exp2(rates * step[None, :]) * h + B_column * (step * us[i])[None, :]  # Eqs 2, 3
            outputs = outputs + (tl.sum(h * C_column, axis=0) + direct * us[i],)
        for i in tl.static_range(AHEAD):
            known = present & (first + i < length)
            tl.store(y + pixels[i] * channels + channel, outputs[i], mask=known)
