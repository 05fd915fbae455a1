"""The scan along directions of a map in standard ONNX operators, in two forms.

Both walk all directions at once. The state (chunks, directions, batch, N, channels) has the channels last, so
that every operator of a step works on long runs of memory, and the output of a step is a matrix product.

- "scan": one ONNX `Scan` over all L steps. Least arithmetic, but a step's tensors are small: ONNX Runtime
  spends much of its time between operators, and uses one thread.
- "chunked": the sequence is cut into chunks that walk side by side. A first walk finds the state that each
  chunk ends with when it begins with none; a few large operators turn these into the states that the chunks
  begin with; a second walk starts there and gives the outputs. Twice the arithmetic, in operators large
  enough for all threads.

The decay of a state over any number of steps is exp(A ΣΔ) with A <= 0 and Δ >= 0: nothing can overflow.

Shapes, with P pixels, K directions, G chunks of T steps: index tables as stated; step and drive
(T, G, K, batch, 1, channels); B (T, G, K, batch, N, 1); C (T, G, K, batch, 1, N); A (K, 1, N, channels);
y (T, G, K, batch, 1, channels). "scan" has G = 1 and T = P.
"""

from typing import Any, Literal

from onnxscript import opset18

from dermseg.ops.ss2d.export_loops import chunk_starts, last_states, outputs, softplus

Form = Literal["scan", "chunked"]

STATES = 2**19
"""State entries that a step of the chunked form works on, about: 2 MiB in float32, enough for two threads to
share, and little enough for the cache. `benchmarks/export.py` measures both forms."""
SHORTEST = 2048
"""Steps from which the chunked form is taken. It is the faster one there only where all of several cores are
free; on one core, twice the arithmetic takes longer at every length. `benchmarks/export.py` measures it."""

Value = Any
"""A tensor of the ONNX graph under construction."""

op: Any = opset18  # while a graph is under construction, operators add nodes and return `Value`s


def directional_scan(
    x: Value, delta: Value, A: Value, B: Value, C: Value, D: Value, delta_bias: Value, form: Form
) -> Value:
    """Add the nodes of one scan to the ONNX graph.

    Args:
        x: Map (batch, H, W, channels).
        delta: Step sizes before bias and softplus, direction first (K, batch, H, W, channels).
        A: State matrices (K, channels, N), negative, of static shape.
        B: Input matrices (batch, H, W, K, N).
        C: Output matrices (batch, H, W, K, N).
        D: Direct paths (K, channels).
        delta_bias: Added to `delta` (K, channels).
        form: Which of the two forms.

    Returns:
        Map (batch, H, W, channels).
    """
    K, channels, N = A.shape
    G = 1 if form == "scan" else max(2, STATES // (K * channels * N))
    batch, height, width = (op.Shape(x, start=axis, end=axis + 1) for axis in (0, 1, 2))
    order = _visits(_paths(height, width, K), G)
    k = _ints(*range(K))
    # One row per pixel, or per pixel and direction, with all images in it: a step takes whole rows.
    sizes = op.Transpose(
        softplus(op.Add(delta, op.Unsqueeze(delta_bias, _ints(1, 2, 3)))), perm=[0, 2, 3, 1, 4]
    )
    of_direction = op.Add(order, op.Mul(k, op.Mul(height, width)))
    step = op.Unsqueeze(op.Gather(_rows(sizes, batch, channels), of_direction), _ints(4))
    pixels = _rows(op.Transpose(x, perm=[1, 2, 0, 3]), batch, channels)
    drive = op.Mul(op.Unsqueeze(op.Gather(pixels, order), _ints(4)), step)
    at_pixel = op.Add(op.Mul(order, _ints(K)), k)
    B, C = (_rows(op.Transpose(matrix, perm=[1, 2, 3, 0, 4]), batch, N) for matrix in (B, C))
    B_steps = op.Unsqueeze(op.Gather(B, at_pixel), _ints(5))
    C_steps = op.Unsqueeze(op.Gather(C, at_pixel), _ints(4))
    A_rows = op.Unsqueeze(op.Transpose(A, perm=[0, 2, 1]), _ints(1))
    shape = op.Concat(_ints(G, K), batch, _ints(N, channels), axis=0)
    start = op.Expand(op.Constant(value_float=0.0), shape)
    if form == "chunked":
        ends = last_states(start, step, drive, B_steps, A_rows)
        over_chunk = op.ReduceSum(step, _ints(0), keepdims=0)
        start = chunk_starts(op.Exp(op.Mul(over_chunk, A_rows)), ends)
    y = outputs(start, step, drive, B_steps, C_steps, A_rows)
    return op.Add(_folded(y, x, K, G), op.Mul(op.ReduceSum(D, _ints(0), keepdims=0), x))


def _ints(*values: int) -> Value:
    return op.Constant(value_ints=list(values))


def _rows(tensor: Value, batch: Value, width: int) -> Value:
    """Reshape (..., batch, width) to (rows, batch, width)."""
    return op.Reshape(tensor, op.Concat(_ints(-1), batch, _ints(width), axis=0))


def _paths(height: Value, width: Value, K: int) -> Value:
    """Pixel visited at every step (K, P): rows, columns, and both in reverse; the first K of them."""
    P = op.Mul(height, width)
    rows = _count(P)
    columns = op.Transpose(op.Reshape(rows, op.Concat(height, width, axis=0)), perm=[1, 0])
    forward = op.Concat(op.Reshape(rows, _ints(1, -1)), op.Reshape(columns, _ints(1, -1)), axis=0)
    both = op.Concat(forward, op.Sub(op.Sub(P, _ints(1)), forward), axis=0)
    return op.Slice(both, _ints(0), _ints(K), _ints(0))


def _count(stop: Value) -> Value:
    """0, 1, ..., stop - 1."""
    return op.Range(op.Constant(value_int=0), op.Squeeze(stop), op.Constant(value_int=1))


def _visits(paths: Value, G: int) -> Value:
    """Pixel visited at every step of every chunk (T, G, K).

    Where the chunks do not divide the steps, the last pixel is visited again: nothing follows it.
    """
    L = op.Shape(paths, start=1)
    T = op.Div(op.Add(L, _ints(G - 1)), _ints(G))
    steps = op.Min(_count(op.Mul(T, _ints(G))), op.Sub(L, _ints(1)))
    return op.Transpose(op.Reshape(op.Gather(paths, steps, axis=1), _ints(0, G, -1)), perm=[2, 1, 0])


def _folded(y: Value, x: Value, K: int, G: int) -> Value:
    """Add the outputs of all directions at every pixel: (batch, H, W, channels)."""
    batch, height, width = (op.Shape(x, start=axis, end=axis + 1) for axis in (0, 1, 2))
    position = _paths(width, height, K)  # when a pixel is visited: the path over the transposed map
    T = op.Shape(y, end=1)
    visit = op.Add(op.Mul(op.Mod(position, T), _ints(G)), op.Div(position, T))
    rows = op.Add(op.Mul(visit, _ints(K)), op.Unsqueeze(_ints(*range(K)), _ints(1)))
    by_visit = op.Gather(_rows(y, batch, x.shape[3]), rows)  # (K, P, batch, channels)
    total = op.ReduceSum(by_visit, _ints(0), keepdims=0)
    return op.Reshape(op.Transpose(total, perm=[1, 0, 2]), op.Shape(x))
