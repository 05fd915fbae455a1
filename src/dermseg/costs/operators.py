"""Analytic costs of the sequence operators: multiply-adds and the least traffic to memory of a forward pass.

A multiply-add counts as one, and so does every other elementary operation, an exponential too, wherever a
formula counts them. Bytes are those of every input read once and every output written once: what a fused
kernel with unlimited registers would move. A machine takes at least the longer of two times: multiply-adds at
its speed of arithmetic, and bytes at its bandwidth of memory.
"""

from dataclasses import dataclass

NUMBER = 4
"""Bytes of a number, in float32."""


@dataclass(frozen=True)
class Cost:
    """Of one call of an operator."""

    multiply_adds: int
    bytes: int


def selective_scan(batch: int, length: int, channels: int, state: int) -> Cost:
    """S6: h = exp(step A) h + step B u and y = C h + D u, for every step, channel and element of the state.

    9 B L D N + B L D multiply-adds, the count that VMamba introduced and papers of this family add where they
    count the scan at all. It holds for a scan by doubling as well; one step after the other takes about half.

    Args:
        batch: B.
        length: L, steps.
        channels: D.
        state: N, elements of each channel's state.
    """
    per_step = batch * length * channels
    numbers = 3 * per_step + 2 * batch * length * state + channels * (state + 2)
    return Cost(9 * per_step * state + per_step, numbers * NUMBER)


def slstm(batch: int, steps: int, heads: int, head_dim: int) -> Cost:
    """Recurrence of the sLSTM: at every step, four gates of a head see its d hidden units: 4 d^2 per head.

    The dozen operations per unit that make gates and cells are left out, as activations are everywhere.

    Args:
        batch: Sequences.
        steps: T.
        heads: Of the recurrence, which do not see each other.
        head_dim: d, units of a head.
    """
    units = batch * heads * head_dim
    numbers = steps * 5 * units + 4 * heads * head_dim**2 + 7 * units
    return Cost(steps * units * 4 * head_dim, numbers * NUMBER)
