"""Analytic costs of the sequence operators: multiply-adds and the least traffic to memory of a forward pass.

A multiply-add counts as one, and so does every other elementary operation, an exponential too, wherever a
formula counts them. Bytes are those of every input read once and every output written once: what a fused
kernel with unlimited registers would move. Time on a machine is at least the larger of the two quotients by
its speed.
"""

from dataclasses import dataclass

DIRECTIONS = 4
"""Directions of SS2D."""


@dataclass(frozen=True)
class Cost:
    """Of one call of an operator."""

    multiply_adds: int
    bytes: int


def selective_scan(batch: int, length: int, channels: int, state: int, itemsize: int = 4) -> Cost:
    """S6: h = exp(step A) h + step B u and y = C h + D u, for every step, channel and element of the state.

    9 B L D N + B L D multiply-adds, the count that VMamba introduced and papers of this family add where they
    count the scan at all. It holds for a scan by doubling as well; one step after the other takes about half.

    Args:
        batch: B.
        length: L, steps.
        channels: D.
        state: N, elements of each channel's state.
        itemsize: Bytes of a number.
    """
    per_step = batch * length * channels
    numbers = 3 * per_step + 2 * batch * length * state + channels * (state + 2)
    return Cost(9 * per_step * state + per_step, numbers * itemsize)


def ss2d(batch: int, height: int, width: int, channels: int, state: int, itemsize: int = 4) -> Cost:
    """SS2D: S6 along four directions of a map, whose input is read and whose sum is written once.

    Args:
        batch: B.
        height: Rows of the map.
        width: Columns of the map.
        channels: Of the map.
        state: N, elements of each channel's state.
        itemsize: Bytes of a number.
    """
    pixels = batch * height * width
    scans = selective_scan(batch, height * width, DIRECTIONS * channels, state)
    numbers = pixels * (2 * channels + DIRECTIONS * (channels + 2 * state))
    parameters = DIRECTIONS * channels * (state + 2)
    return Cost(scans.multiply_adds, (numbers + parameters) * itemsize)


def slstm(batch: int, steps: int, heads: int, head_dim: int, itemsize: int = 4) -> Cost:
    """Recurrence of the sLSTM: at every step, four gates of a head see its d hidden units: 4 d^2 per head.

    The dozen operations per unit that make gates and cells are left out, as activations are everywhere.

    Args:
        batch: Sequences.
        steps: T.
        heads: Of the recurrence, which do not see each other.
        head_dim: d, units of a head.
        itemsize: Bytes of a number.
    """
    units = batch * heads * head_dim
    numbers = steps * 5 * units + 4 * heads * head_dim**2 + 7 * units
    return Cost(steps * units * 4 * head_dim, numbers * itemsize)


def mlstm(
    batch: int, steps: int, heads: int, head_dim: int, itemsize: int = 4, chunk: int | None = None
) -> Cost:
    """Recurrence of the mLSTM, without a past and without the final state.

    One step after the other, the memory is updated (d^2 for v k^T) and read (d^2 for C q). By chunks of c
    steps, queries meet keys and scores meet values inside a chunk (2 c^2 d), and every chunk after the first
    reads the memory that every chunk before the last has advanced (d^2 per step each, d for the normaliser).

    Args:
        batch: Sequences.
        steps: T.
        heads: Of the recurrence, which do not see each other.
        head_dim: d; queries, keys and values of a head have as many elements.
        itemsize: Bytes of a number.
        chunk: c; None for one step after the other. A last, shorter chunk costs less.
    """
    d = head_dim
    numbers = batch * heads * steps * (4 * d + 2)
    if chunk is None:
        return Cost(batch * heads * steps * (2 * d * d + d), numbers * itemsize)
    lengths = [min(chunk, steps - start) for start in range(0, steps, chunk)]
    inside = sum(2 * length**2 * d for length in lengths)
    read = sum(length * (d * d + d) for length in lengths[1:])
    advanced = sum(length * d * d for length in lengths[:-1])
    return Cost(batch * heads * (inside + read + advanced), numbers * itemsize)
