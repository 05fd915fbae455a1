"""CPU kernels of the sLSTM: all steps of one head for a tile of the batch stay in one core's cache.

Heads and batch elements are independent, so the parallel loop runs over heads times tiles. Within a tile
the recurrent products visit one row of weights for all its batch elements before the next row.
"""

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

TILE = 8  # batch elements that share one pass over the recurrent weights


# Contraction lets a multiply and an add become one instruction; infinities and NaN keep their meaning.
@numba.njit(parallel=True, cache=True, fastmath={"contract"}, error_model="numpy")
def forward(
    preactivations: Array,
    R: Array,
    c: Array,
    n: Array,
    m: Array,
    first: Array,
    hidden: Array,
    gates: Array,
    cells: Array,
) -> None:
    """Run the recurrence; `c`, `n` and `m` are replaced by the final state.

    Args:
        preactivations: (batch, T, 4, heads, d), order z, i, f, o.
        R: Weights with the gate units last (heads, d, 4 d): `h @ R[head]`.
        c: Cell (batch, heads, d), overwritten.
        n: Normaliser (batch, heads, d), overwritten.
        m: Stabiliser (batch, heads, d), overwritten.
        first: Hidden state before the first step (batch, heads, d).
        hidden: Output (batch, T, heads, d).
        gates: Output, activated gates for the backward pass (batch, T, 4, heads, d), or empty.
        cells: Output, c and n of every step (batch, T, 2, heads, d), or empty.
    """
    batch, T, _, heads, d = preactivations.shape
    keep = gates.size > 0
    one = preactivations.dtype.type(1)
    for task in numba.prange(heads * ((batch + TILE - 1) // TILE)):
        head = task % heads
        start = task // heads * TILE
        size = min(TILE, batch - start)
        total = np.empty((size, 4 * d), preactivations.dtype)
        for t in range(T):
            for b in range(size):
                for gate in range(4):
                    for j in range(d):
                        total[b, gate * d + j] = preactivations[start + b, t, gate, head, j]
            previous = (
                first[start : start + size, head] if t == 0 else hidden[start : start + size, t - 1, head]
            )
            _add_product(total, previous, R[head])
            for b in range(size):
                e = start + b
                for j in range(d):
                    z = _tanh(total[b, j], one)
                    o = one / (one + np.exp(-total[b, 3 * d + j]))
                    # Of the two gates divided by e^m, one is exactly 1.
                    difference = total[b, 2 * d + j] + m[e, head, j] - total[b, d + j]
                    smaller = np.exp(-abs(difference))
                    if difference > 0:
                        i, f = smaller, one
                        m[e, head, j] += total[b, 2 * d + j]
                    else:
                        i, f = one, smaller
                        m[e, head, j] = total[b, d + j]
                    c[e, head, j] = f * c[e, head, j] + i * z
                    n[e, head, j] = f * n[e, head, j] + i
                    hidden[e, t, head, j] = o * c[e, head, j] / n[e, head, j]
                    if keep:
                        gates[e, t, 0, head, j] = z
                        gates[e, t, 1, head, j] = i
                        gates[e, t, 2, head, j] = f
                        gates[e, t, 3, head, j] = o
                        cells[e, t, 0, head, j] = c[e, head, j]
                        cells[e, t, 1, head, j] = n[e, head, j]


@numba.njit(parallel=True, cache=True, fastmath={"contract"}, error_model="numpy")
def backward(
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
    """Run the recurrence backwards; `grad_c` ... `grad_h` turn from final-state to initial-state gradients.

    Args:
        grad_hidden: Gradient of every hidden state (batch, T, heads, d).
        R: Weights with the gate units first (heads, 4 d, d).
        c: Cell before the first step (batch, heads, d).
        n: Normaliser before the first step (batch, heads, d).
        gates: What `forward` kept.
        cells: What `forward` kept.
        grad_c: Gradient of the final cell (batch, heads, d), overwritten.
        grad_n: Gradient of the final normaliser, overwritten.
        grad_m: Gradient of the final stabiliser, overwritten.
        grad_h: Zeros; overwritten.
        grad_preactivations: Output (batch, T, 4, heads, d).
    """
    batch, T, heads, d = grad_hidden.shape
    one = grad_hidden.dtype.type(1)
    half = grad_hidden.dtype.type(0.5)
    for task in numba.prange(heads * ((batch + TILE - 1) // TILE)):
        head = task % heads
        start = task // heads * TILE
        size = min(TILE, batch - start)
        total = np.empty((size, 4 * d), grad_hidden.dtype)
        recurrent = np.zeros((size, d), grad_hidden.dtype)
        for t in range(T - 1, -1, -1):
            for b in range(size):
                e = start + b
                for j in range(d):
                    z = gates[e, t, 0, head, j]
                    i = gates[e, t, 1, head, j]
                    f = gates[e, t, 2, head, j]
                    o = gates[e, t, 3, head, j]
                    c_last = cells[e, t - 1, 0, head, j] if t > 0 else c[e, head, j]
                    n_last = cells[e, t - 1, 1, head, j] if t > 0 else n[e, head, j]
                    scale = one / cells[e, t, 1, head, j]
                    quotient = cells[e, t, 0, head, j] * scale
                    dh = grad_hidden[e, t, head, j] + recurrent[b, j]
                    dc = grad_c[e, head, j] + dh * o * scale
                    dn = grad_n[e, head, j] - dh * o * scale * quotient
                    d_log_i = (dc * z + dn) * i
                    d_log_f = (dc * c_last + dn * n_last) * f
                    # m is the larger logarithm: what it receives goes there, halved when they are equal.
                    dm = grad_m[e, head, j] - d_log_i - d_log_f
                    share = half if i == f else (one if f > i else one - one)
                    d_log_f += share * dm
                    total[b, j] = dc * i * (one - z * z)
                    total[b, d + j] = d_log_i + (one - share) * dm
                    total[b, 2 * d + j] = d_log_f
                    total[b, 3 * d + j] = dh * quotient * o * (one - o)
                    grad_c[e, head, j] = dc * f
                    grad_n[e, head, j] = dn * f
                    grad_m[e, head, j] = d_log_f
                for gate in range(4):
                    for j in range(d):
                        grad_preactivations[e, t, gate, head, j] = total[b, gate * d + j]
            recurrent[:] = 0
            _add_product(recurrent, total, R[head])
        for b in range(size):
            for j in range(d):
                grad_h[start + b, head, j] = recurrent[b, j]


@numba.njit(cache=True, fastmath={"contract"}, inline="always")
def _tanh(x: float, one: float) -> float:
    """Hyperbolic tangent by one exponential; absolute error of a few units of the last place of 1."""
    e = np.exp(-2 * abs(x))
    return np.copysign((one - e) / (one + e), x)


@numba.njit(cache=True, fastmath={"contract"})
def _add_product(total: Array, left: Array, right: Array) -> None:
    """Add `left @ right` to `total`; four rows of `right` per visit to a row of `total`.

    The order of additions in one row does not depend on how many rows there are.
    """
    rows, inner = left.shape
    columns = right.shape[1]
    whole = inner - inner % 4
    for k in range(0, whole, 4):
        for b in range(rows):
            x0, x1, x2, x3 = left[b, k], left[b, k + 1], left[b, k + 2], left[b, k + 3]
            for j in range(columns):
                total[b, j] += (
                    x0 * right[k, j] + x1 * right[k + 1, j] + x2 * right[k + 2, j] + x3 * right[k + 3, j]
                )
    for k in range(whole, inner):
        for b in range(rows):
            for j in range(columns):
                total[b, j] += left[b, k] * right[k, j]
