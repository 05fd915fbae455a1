# mypy: disable-error-code="untyped-decorator, import-untyped, import-not-found"
"""Triton kernels of the sLSTM: one program runs all steps of one head of one batch element.

The recurrent weights of a head, four blocks of head_dim x head_dim, stay in registers for all steps where
they fit (`RESIDENT`); else every step reads them from the cache. The state stays in registers in any case.
The loads of a step are issued before the recurrent products, which hide their latency.

Tensors are as `gpu` allocates them; `R` has the gate units last in `forward` and first in `backward`, so that
both sum over the first axis of a block. `ACC` is the type of the state and of all sums.
"""

import triton
import triton.language as tl


@triton.jit
def load_rows(
    R: tl.tensor,
    gate: tl.constexpr,
    head: tl.tensor,
    heads: int,
    d: int,
    first: tl.tensor,
    ROWS: tl.constexpr,
    UNITS: tl.constexpr,
    ACC: tl.constexpr,
) -> tl.tensor:
    """Some rows of the recurrent weights of a gate and head (ROWS, UNITS), zeros beyond d."""
    row = first + tl.arange(0, ROWS)[:, None]
    column = tl.arange(0, UNITS)[None, :]
    address = R + ((gate * heads + head) * d + row) * d + column
    return tl.load(address, mask=(row < d) & (column < d), other=0).to(ACC)


@triton.jit
def load_blocks(
    R: tl.tensor, head: tl.tensor, heads: int, d: int, UNITS: tl.constexpr, ACC: tl.constexpr
) -> tuple[tl.tensor, ...]:
    """Recurrent weights of the gates z, i, f, o of a head."""
    z = load_rows(R, 0, head, heads, d, 0, UNITS, UNITS, ACC)
    i = load_rows(R, 1, head, heads, d, 0, UNITS, UNITS, ACC)
    f = load_rows(R, 2, head, heads, d, 0, UNITS, UNITS, ACC)
    o = load_rows(R, 3, head, heads, d, 0, UNITS, UNITS, ACC)
    return z, i, f, o


@triton.jit
def product(
    left: tl.tensor,
    gate: tl.constexpr,
    blocks: tl.tuple,
    R: tl.tensor,
    head: tl.tensor,
    heads: int,
    d: int,
    RESIDENT: tl.constexpr,
    UNITS: tl.constexpr,
    ACC: tl.constexpr,
) -> tl.tensor:
    """`left` times the recurrent weights of a gate, always summed in the same order."""
    if RESIDENT:
        total = tl.sum(left[:, None] * blocks[gate], axis=0)
    else:
        total = tl.zeros([UNITS], ACC)
        for first in range(0, d, 16):
            some = tl.gather(left, first + tl.arange(0, 16), 0)
            total += tl.sum(some[:, None] * load_rows(R, gate, head, heads, d, first, 16, UNITS, ACC), axis=0)
    return total


@triton.jit
def tanh(x: tl.tensor) -> tl.tensor:
    """Hyperbolic tangent, to a few units in the last place of 1."""
    e = tl.exp(-2 * tl.abs(x))
    positive = (1 - e) / (1 + e)
    return tl.where(x >= 0, positive, -positive)


@triton.jit(do_not_specialize=["T", "heads", "d"])
def forward(
    preactivations: tl.tensor,
    R: tl.tensor,
    c_first: tl.tensor,
    n_first: tl.tensor,
    m_first: tl.tensor,
    h_first: tl.tensor,
    hidden: tl.tensor,
    c_last: tl.tensor,
    n_last: tl.tensor,
    m_last: tl.tensor,
    gates: tl.tensor,
    cells: tl.tensor,
    T: int,
    heads: int,
    d: int,
    KEEP: tl.constexpr,
    RESIDENT: tl.constexpr,
    UNITS: tl.constexpr,
    ACC: tl.constexpr,
) -> None:
    """Run Eqs 6-8; if `KEEP`, note activated gates of every step and cells before, between and after."""
    element = (tl.program_id(0) // heads).to(tl.int64)
    head = tl.program_id(0) % heads
    present = tl.arange(0, UNITS) < d
    size = heads * d  # of all heads
    unit = head * d + tl.arange(0, UNITS)
    state = element * size + unit
    blocks = load_blocks(R, head, heads, d, UNITS, ACC) if RESIDENT else ()
    c = tl.load(c_first + state, mask=present, other=0).to(ACC)
    n = tl.load(n_first + state, mask=present, other=1).to(ACC)
    m = tl.load(m_first + state, mask=present, other=0).to(ACC)
    h = tl.load(h_first + state, mask=present, other=0).to(ACC)
    preactivations += element * T * 4 * size + unit
    gates += element * T * 4 * size + unit
    cells += element * (T + 1) * 2 * size + unit
    hidden += element * T * size + unit
    if KEEP:
        tl.store(cells, c, mask=present)
        tl.store(cells + size, n, mask=present)
    for _ in range(0, T):
        z = tl.load(preactivations, mask=present, other=0).to(ACC)
        i = tl.load(preactivations + size, mask=present, other=0).to(ACC)
        f = tl.load(preactivations + 2 * size, mask=present, other=0).to(ACC)
        o = tl.load(preactivations + 3 * size, mask=present, other=0).to(ACC)
        z = tanh(z + product(h, 0, blocks, R, head, heads, d, RESIDENT, UNITS, ACC))
        i += product(h, 1, blocks, R, head, heads, d, RESIDENT, UNITS, ACC)
        past = f + product(h, 2, blocks, R, head, heads, d, RESIDENT, UNITS, ACC) + m
        o = 1 / (1 + tl.exp(-(o + product(h, 3, blocks, R, head, heads, d, RESIDENT, UNITS, ACC))))
        m = tl.maximum(past, i)
        i = tl.exp(i - m)
        f = tl.exp(past - m)
        c = f * c + i * z  # Eq 6
        n = f * n + i  # Eq 7
        h = o * c / n  # Eq 8
        tl.store(hidden, h, mask=present)
        if KEEP:
            cells += 2 * size
            tl.store(gates, z, mask=present)
            tl.store(gates + size, i, mask=present)
            tl.store(gates + 2 * size, f, mask=present)
            tl.store(gates + 3 * size, o, mask=present)
            tl.store(cells, c, mask=present)
            tl.store(cells + size, n, mask=present)
            gates += 4 * size
        preactivations += 4 * size
        hidden += size
    tl.store(c_last + state, c, mask=present)
    tl.store(n_last + state, n, mask=present)
    tl.store(m_last + state, m, mask=present)


@triton.jit(do_not_specialize=["T", "heads", "d"])
def backward(
    hidden_grad: tl.tensor,
    c_last_grad: tl.tensor,
    n_last_grad: tl.tensor,
    m_last_grad: tl.tensor,
    R: tl.tensor,
    gates: tl.tensor,
    cells: tl.tensor,
    gates_grad: tl.tensor,
    c_grad: tl.tensor,
    n_grad: tl.tensor,
    m_grad: tl.tensor,
    h_grad: tl.tensor,
    T: int,
    heads: int,
    d: int,
    RESIDENT: tl.constexpr,
    UNITS: tl.constexpr,
    ACC: tl.constexpr,
) -> None:
    """Gradients of the preactivations and of the first state; those of `R` are a matrix product of these."""
    element = (tl.program_id(0) // heads).to(tl.int64)
    head = tl.program_id(0) % heads
    present = tl.arange(0, UNITS) < d
    size = heads * d  # of all heads
    unit = head * d + tl.arange(0, UNITS)
    state = element * size + unit
    blocks = load_blocks(R, head, heads, d, UNITS, ACC) if RESIDENT else ()
    dc = tl.load(c_last_grad + state, mask=present, other=0).to(ACC)
    dn = tl.load(n_last_grad + state, mask=present, other=0).to(ACC)
    dm = tl.load(m_last_grad + state, mask=present, other=0).to(ACC)
    dz = tl.zeros([UNITS], ACC)
    di = tl.zeros([UNITS], ACC)
    df = tl.zeros([UNITS], ACC)
    do = tl.zeros([UNITS], ACC)
    # From behind the last step, and from the cells after it.
    gates += (element + 1) * T * 4 * size + unit
    gates_grad += (element + 1) * T * 4 * size + unit
    cells += (element * (T + 1) + T) * 2 * size + unit
    hidden_grad += (element + 1) * T * size + unit
    for _ in range(0, T):
        hidden_grad -= size
        gates -= 4 * size
        gates_grad -= 4 * size
        dh = tl.load(hidden_grad, mask=present, other=0).to(ACC)
        z = tl.load(gates, mask=present, other=0)
        i = tl.load(gates + size, mask=present, other=0)
        f = tl.load(gates + 2 * size, mask=present, other=0)
        o = tl.load(gates + 3 * size, mask=present, other=0)
        c = tl.load(cells, mask=present, other=0)
        n = tl.load(cells + size, mask=present, other=1)
        cells -= 2 * size
        c_before = tl.load(cells, mask=present, other=0)
        n_before = tl.load(cells + size, mask=present, other=1)
        # What the step after this one needs of this one's hidden state.
        dh += product(dz, 0, blocks, R, head, heads, d, RESIDENT, UNITS, ACC)
        dh += product(di, 1, blocks, R, head, heads, d, RESIDENT, UNITS, ACC)
        dh += product(df, 2, blocks, R, head, heads, d, RESIDENT, UNITS, ACC)
        dh += product(do, 3, blocks, R, head, heads, d, RESIDENT, UNITS, ACC)
        quotient = c / n
        dc += dh * o / n
        dn -= dh * o / n * quotient
        d_log_i = (dc * z + dn) * i
        d_log_f = (dc * c_before + dn * n_before) * f
        # m is the larger of two logarithms, the one whose gate is 1: what m receives goes there, or half to
        # each where they are equal, as in torch.maximum.
        dm -= d_log_i + d_log_f
        share = tl.where(i == f, 0.5, tl.where(f > i, 1.0, 0.0)).to(ACC)
        dz = dc * i * (1 - z * z)
        di = d_log_i + (1 - share) * dm
        df = d_log_f + share * dm
        do = dh * quotient * o * (1 - o)
        tl.store(gates_grad, dz, mask=present)
        tl.store(gates_grad + size, di, mask=present)
        tl.store(gates_grad + 2 * size, df, mask=present)
        tl.store(gates_grad + 3 * size, do, mask=present)
        dc *= f
        dn *= f
        dm = df
    dh = product(dz, 0, blocks, R, head, heads, d, RESIDENT, UNITS, ACC)
    dh += product(di, 1, blocks, R, head, heads, d, RESIDENT, UNITS, ACC)
    dh += product(df, 2, blocks, R, head, heads, d, RESIDENT, UNITS, ACC)
    dh += product(do, 3, blocks, R, head, heads, d, RESIDENT, UNITS, ACC)
    tl.store(c_grad + state, dc, mask=present)
    tl.store(n_grad + state, dn, mask=present)
    tl.store(m_grad + state, dm, mask=present)
    tl.store(h_grad + state, dh, mask=present)
