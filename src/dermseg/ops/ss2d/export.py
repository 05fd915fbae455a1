"""The scan along directions of a map in standard ONNX operators, in two forms.

Both walk all directions at once. The state (directions, batch, N, channels) has the channels last, so that
every operator works on long runs of memory. The steps come in blocks: what does not depend on the state,
decays and inputs, is computed for a whole block at once, and so are the outputs, a matrix product. A step is
left with one product and one sum, h_t = decay_t h_{t-1} + input_t. The product leaves the loop, not the sum,
which would have to be copied: what the sum adds to an output, (C_t B_t) Δ_t x_t, is added with D x_t.

- "scan": within a block, one ONNX `Scan` over its steps. Least arithmetic, but a step's tensors are small:
  ONNX Runtime spends much of its time between operators, and uses one thread there.
- "chunked": every block is cut into chunks that walk side by side. A first walk finds the state that each
  chunk ends with when it begins with none; a short one over the chunks turns these into the states that they
  begin with; a second walk starts there and gives the outputs. A third more arithmetic, in operators large
  enough for all threads. On two cores it is the slower one at every length (`benchmarks/export.py`: 256 to
  16,384 steps), so "scan" is the default; it is meant for machines of many cores.

The decay of a state over any number of steps is exp(A ΣΔ) with A <= 0 and Δ >= 0: nothing can overflow.

Shapes, with P pixels, K directions, M blocks of G chunks of T steps: index tables as stated; step and drive
(M, T, G, K, batch, 1, channels); B (M, T, G, K, batch, N, 1); C (M, T, G, K, batch, 1, N);
A (K, 1, N, channels); y (M, T, G, K, batch, 1, channels). "scan" has G = 1.
"""

from typing import Any, Literal

from onnxscript import opset18

from dermseg.ops.ss2d.export_loops import chunked_outputs, outputs, softplus

Form = Literal["scan", "chunked"]


STEPS, MOST_STEPS = 8, 64
"""Steps of a block: with fewer, what a block costs by itself counts; more bring nothing."""
BLOCK = 3 * 2**18
"""State entries of a block of the form "scan", about: 3 MiB in float32, for decays and inputs to stay in the
cache where many steps would not."""
STATES = 2**17
"""State entries that a step of the chunked form works on, about: 512 KiB in float32, enough for two threads
to share, and little enough for the cache."""

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
    T = STEPS if form == "chunked" else max(STEPS, min(MOST_STEPS, BLOCK // (K * channels * N)))
    order = _visits(_paths(height, width, K), G, T)
    k = _ints(*range(K))
    # One row per pixel, or per pixel and direction, with all images in it: a step takes whole rows.
    sizes = op.Transpose(
        softplus(op.Add(delta, op.Unsqueeze(delta_bias, _ints(1, 2, 3)))), perm=[0, 2, 3, 1, 4]
    )
    of_direction = op.Add(order, op.Mul(k, op.Mul(height, width)))
    step = op.Unsqueeze(op.Gather(_rows(sizes, batch, channels), of_direction), _ints(5))
    pixels = _rows(op.Transpose(x, perm=[1, 2, 0, 3]), batch, channels)
    drive = op.Mul(op.Unsqueeze(op.Gather(pixels, order), _ints(5)), step)
    at_pixel = op.Add(op.Mul(order, _ints(K)), k)
    at_once = op.Transpose(op.ReduceSum(op.Mul(B, C), _ints(4)), perm=[3, 1, 2, 0, 4])
    own = op.ReduceSum(op.Mul(at_once, sizes), _ints(0), keepdims=0)
    B, C = (_rows(op.Transpose(matrix, perm=[1, 2, 3, 0, 4]), batch, N) for matrix in (B, C))
    B_steps = op.Unsqueeze(op.Gather(B, at_pixel), _ints(6))
    C_steps = op.Unsqueeze(op.Gather(C, at_pixel), _ints(5))
    A_rows = op.Unsqueeze(op.Transpose(A, perm=[0, 2, 1]), _ints(1))
    shape = op.Concat(_ints(K), batch, _ints(N, channels), axis=0)
    start = op.Expand(op.Constant(value_float=0.0), shape)
    walk = outputs if form == "scan" else chunked_outputs
    y = walk(start, step, drive, B_steps, C_steps, A_rows)
    direct = op.Add(op.Transpose(own, perm=[2, 0, 1, 3]), op.ReduceSum(D, _ints(0), keepdims=0))
    return op.Add(_folded(y, x, K, G), op.Mul(direct, x))


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


def _visits(paths: Value, G: int, most: int) -> Value:
    """Pixel visited in every block, at every step of every chunk (M, T, G, K), T at most as given.

    Where chunks do not divide the steps, the last pixel is visited again: nothing follows it.
    """
    L = op.Shape(paths, start=1)
    M = _blocks(L, _ints(G * most))
    T = _blocks(L, op.Mul(M, _ints(G)))
    steps = op.Min(_count(op.Mul(op.Mul(M, T), _ints(G))), op.Sub(L, _ints(1)))
    shape = op.Concat(_ints(0), M, _ints(G), T, axis=0)
    return op.Transpose(op.Reshape(op.Gather(paths, steps, axis=1), shape), perm=[1, 3, 2, 0])


def _blocks(length: Value, size: Value) -> Value:
    """How many blocks of a size cover a length."""
    return op.Div(op.Sub(op.Add(length, size), _ints(1)), size)


def _folded(y: Value, x: Value, K: int, G: int) -> Value:
    """Add the outputs of all directions at every pixel: (batch, H, W, channels)."""
    batch, height, width = (op.Shape(x, start=axis, end=axis + 1) for axis in (0, 1, 2))
    position = _paths(width, height, K)  # when a pixel is visited: the path over the transposed map
    T = op.Shape(y, start=1, end=2)
    in_block = op.Mod(position, op.Mul(T, _ints(G)))
    # Within its block it stands at step t of chunk g, and y has the chunks of a step side by side.
    place = op.Add(op.Mul(op.Mod(in_block, T), _ints(G)), op.Div(in_block, T))
    visit = op.Add(op.Sub(position, in_block), place)
    rows = op.Add(op.Mul(visit, _ints(K)), op.Unsqueeze(_ints(*range(K)), _ints(1)))
    by_visit = op.Gather(_rows(y, batch, x.shape[3]), rows)  # (K, P, batch, channels)
    total = op.ReduceSum(by_visit, _ints(0), keepdims=0)
    return op.Reshape(op.Transpose(total, perm=[1, 0, 2]), op.Shape(x))
