"""Compiled loops of the sLSTM: all steps of one head, for a tile of the batch, stay in one core's cache.

Heads and batch elements are independent, so a task is one head of one tile. Within a tile the recurrent
products visit four rows of weights for all its batch elements before the next four. Loops touch few arrays
each, because LLVM vectorises a loop only if it can afford to check that none of them overlap.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermseg.ops.numba_math import compiled, exp2, inlined

Array = NDArray[np.floating[Any]]

TILE = 8  # batch elements that share one pass over the recurrent weights


@compiled
def forward(
    task: int,
    preactivations: Array,
    R: Array,
    h: Array,
    c: Array,
    n: Array,
    m: Array,
    hidden: Array,
    gates: Array,
    cells: Array,
) -> None:
    """Run a task of the recurrence; `c`, `n` and `m` become the final state.

    Args:
        task: Which of the heads * tiles tasks.
        preactivations: (batch, T, 4, heads, d), order z, i, f, o.
        R: Weights with the gate units last (heads, d, 4 d), for `h @ R[head]`.
        h: Hidden state before the first step (batch, heads, d).
        c: Cell (batch, heads, d), overwritten.
        n: Normaliser (batch, heads, d), overwritten.
        m: Stabiliser (batch, heads, d), overwritten.
        hidden: Output (batch, T, heads, d).
        gates: Output for the backward pass, activated gates (batch, T, 4, heads, d), or empty.
        cells: Output for the backward pass, c and n of every step (batch, T, 2, heads, d), or empty.
    """
    batch, T, _, heads, d = preactivations.shape
    total = np.empty((TILE, 4, d), preactivations.dtype)
    flat = total.reshape(TILE, 4 * d)
    head = task % heads
    start = task // heads * TILE
    size = min(TILE, batch - start)
    for t in range(T):
        for b in range(size):
            for gate in range(4):
                _copy(total[b, gate], preactivations[start + b, t, gate, head])
        before = h[start : start + size, head] if t == 0 else hidden[start : start + size, t - 1, head]
        if t > 0 or np.any(before):
            _add_product(flat[:size], before, R[head])
        for b in range(size):
            e = start + b
            z, i, f, o = total[b, 0], total[b, 1], total[b, 2], total[b, 3]
            _tanh(z)
            _stabilise(i, f, m[e, head])
            _sigmoid(o)
            _remember(c[e, head], z, i, f)
            _accumulate(n[e, head], i, f)
            _emit(hidden[e, t, head], o, c[e, head], n[e, head])
            if gates.size > 0:
                for gate in range(4):
                    _copy(gates[e, t, gate, head], total[b, gate])
                _copy(cells[e, t, 0, head], c[e, head])
                _copy(cells[e, t, 1, head], n[e, head])


@compiled
def backward(
    task: int,
    grad_hidden: Array,
    R: Array,
    c: Array,
    n: Array,
    gates: Array,
    cells: Array,
    grad_c: Array,
    grad_n: Array,
    grad_m: Array,
    grad_h: Array,
    grad_preactivations: Array,
) -> None:
    """Run a task backwards; `grad_c` to `grad_h` become those of the initial state.

    Args:
        task: Which of the heads * tiles tasks.
        grad_hidden: Gradient of every hidden state (batch, T, heads, d).
        R: Weights with the gate units first (heads, 4 d, d).
        c: Cell before the first step (batch, heads, d).
        n: Normaliser before the first step (batch, heads, d).
        gates: What `forward` kept.
        cells: What `forward` kept.
        grad_c: Gradient of the final cell (batch, heads, d), overwritten.
        grad_n: Gradient of the final normaliser, overwritten.
        grad_m: Gradient of the final stabiliser, overwritten.
        grad_h: Output (batch, heads, d).
        grad_preactivations: Output (batch, T, 4, heads, d).
    """
    batch, T, heads, d = grad_hidden.shape
    total = np.empty((TILE, 4 * d), grad_hidden.dtype)
    recurrent = np.empty((TILE, d), grad_hidden.dtype)
    head = task % heads
    start = task // heads * TILE
    size = min(TILE, batch - start)
    recurrent[:size] = 0
    for t in range(T - 1, -1, -1):
        for b in range(size):
            e = start + b
            _differentiate(
                total[b],
                grad_hidden[e, t, head],
                recurrent[b],
                gates[e, t, :, head],
                cells[e, t, :, head],
                cells[e, t - 1, 0, head] if t > 0 else c[e, head],
                cells[e, t - 1, 1, head] if t > 0 else n[e, head],
                grad_c[e, head],
                grad_n[e, head],
                grad_m[e, head],
            )
            for gate in range(4):
                _copy(grad_preactivations[e, t, gate, head], total[b, gate * d : (gate + 1) * d])
        recurrent[:size] = 0
        _add_product(recurrent[:size], total[:size], R[head])
    for b in range(size):
        _copy(grad_h[start + b, head], recurrent[b])


@inlined
def _differentiate(
    total: Array,
    grad_hidden: Array,
    recurrent: Array,
    gates: Array,
    cells: Array,
    c_before: Array,
    n_before: Array,
    grad_c: Array,
    grad_n: Array,
    grad_m: Array,
) -> None:
    """Gradients of one step of one batch element: `total` receives those of z, i, f, o before activation."""
    d = recurrent.size
    zero, half, one = total.dtype.type(0), total.dtype.type(0.5), total.dtype.type(1)
    for j in range(d):
        z, i, f, o = gates[0, j], gates[1, j], gates[2, j], gates[3, j]
        scale = one / cells[1, j]
        quotient = cells[0, j] * scale
        dh = grad_hidden[j] + recurrent[j]
        dc = grad_c[j] + dh * o * scale
        dn = grad_n[j] - dh * o * scale * quotient
        d_log_i = (dc * z + dn) * i
        d_log_f = (dc * c_before[j] + dn * n_before[j]) * f
        # m is the larger of two logarithms, the one whose gate is 1: what m receives goes there, or half to
        # each where they are equal, as in torch.maximum.
        dm = grad_m[j] - d_log_i - d_log_f
        share = half if i == f else (one if f > i else zero)
        total[j] = dc * i * (one - z * z)
        total[d + j] = d_log_i + (one - share) * dm
        total[2 * d + j] = d_log_f + share * dm
        total[3 * d + j] = dh * quotient * o * (one - o)
        grad_c[j] = dc * f
        grad_n[j] = dn * f
        grad_m[j] = d_log_f + share * dm


@inlined
def _add_product(total: Array, left: Array, right: Array) -> None:
    """Add `left @ right` to `total`. A row's additions come in the same order however many rows there are."""
    rows, inner = left.shape
    columns = right.shape[1]
    whole = inner - inner % 4
    for k in range(0, whole, 4):
        r0, r1, r2, r3 = right[k], right[k + 1], right[k + 2], right[k + 3]
        for b in range(rows):
            row = total[b]
            x0, x1, x2, x3 = left[b, k], left[b, k + 1], left[b, k + 2], left[b, k + 3]
            for j in range(columns):
                row[j] += x0 * r0[j] + x1 * r1[j] + x2 * r2[j] + x3 * r3[j]
    for k in range(whole, inner):
        for b in range(rows):
            for j in range(columns):
                total[b, j] += left[b, k] * right[k, j]


@inlined
def _copy(to: Array, source: Array) -> None:
    for j in range(to.size):
        to[j] = source[j]


@inlined
def _tanh(x: Array) -> None:
    """Replace x by tanh x, to a few units in the last place of 1."""
    one, slope = x.dtype.type(1), x.dtype.type(-2 * np.log2(np.e))
    for j in range(x.size):
        e = exp2(abs(x[j]) * slope)
        positive = (one - e) / (one + e)
        x[j] = positive if x[j] >= 0 else -positive


@inlined
def _sigmoid(x: Array) -> None:
    """Replace x by 1 / (1 + e^-x)."""
    one, slope = x.dtype.type(1), x.dtype.type(-np.log2(np.e))
    for j in range(x.size):
        x[j] = one / (one + exp2(x[j] * slope))


@inlined
def _stabilise(i: Array, f: Array, m: Array) -> None:
    """Replace the input and forget gates by their exponentials over e^m, after updating m."""
    one, slope = i.dtype.type(1), i.dtype.type(-np.log2(np.e))
    for j in range(i.size):
        past = f[j] + m[j]
        difference = past - i[j]
        m[j] = past if difference > 0 else i[j]
        smaller = exp2(abs(difference) * slope)  # the larger of the two is exactly 1
        i[j] = smaller if difference > 0 else one
        f[j] = one if difference > 0 else smaller


@inlined
def _remember(c: Array, z: Array, i: Array, f: Array) -> None:
    """Eq 6."""
    for j in range(c.size):
        c[j] = f[j] * c[j] + i[j] * z[j]


@inlined
def _accumulate(n: Array, i: Array, f: Array) -> None:
    """Eq 7."""
    for j in range(n.size):
        n[j] = f[j] * n[j] + i[j]


@inlined
def _emit(hidden: Array, o: Array, c: Array, n: Array) -> None:
    """Eq 8."""
    for j in range(hidden.size):
        hidden[j] = o[j] * c[j] / n[j]
