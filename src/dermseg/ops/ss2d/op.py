"""The four-direction scan's public function: checks its inputs, chooses a back-end, settles the types."""

from torch import Tensor

from dermseg.ops import checks
from dermseg.ops.backend import choose
from dermseg.ops.ss2d import reference


def ss2d_scan(
    x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, delta_bias: Tensor
) -> Tensor:
    """Scan a map with S6 along four directions and add the four results at every pixel (SS2D, section 3.3).

    Directions are in the order of the released parameters: rows, columns, rows reversed, columns reversed.
    `delta`, `B` and `C` are indexed by pixel, not by position in a scan. Half-precision inputs, also those
    autocast makes, are computed in float32.

    Args:
        x: Map (batch, H, W, channels).
        delta: Step sizes before bias and softplus (batch, H, W, 4, channels).
        A: State matrices, diagonal per channel (4, channels, N); negative.
        B: Input matrices (batch, H, W, 4, N).
        C: Output matrices (batch, H, W, 4, N).
        D: Direct paths (4, channels).
        delta_bias: Added to `delta` (4, channels).

    Returns:
        Map (batch, H, W, channels), of the type of `x`.

    Raises:
        ConfigError: If shapes do not fit each other, or a dimension is empty.
    """
    _, channels, N = checks.dimensions("ss2d_scan", "A", A, 3)
    batch, height, width, _ = checks.dimensions("ss2d_scan", "x", x, 4)
    checks.shapes(
        "ss2d_scan",
        {
            "x": (x, (batch, height, width, channels)),
            "delta": (delta, (batch, height, width, 4, channels)),
            "A": (A, (4, channels, N)),
            "B": (B, (batch, height, width, 4, N)),
            "C": (C, (batch, height, width, 4, N)),
            "D": (D, (4, channels)),
            "delta_bias": (delta_bias, (4, channels)),
        },
    )
    dtype = checks.computing_dtype(x, delta, A, B, C, D, delta_bias)
    backend = choose("ss2d_scan", x.device, dtype)
    if backend == "triton":  # reads half precision as it is
        from dermseg.ops.ss2d import gpu

        return gpu.ss2d_scan(x, delta, A, B, C, D, delta_bias)
    inputs = [tensor.to(dtype) for tensor in (x, delta, A, B, C, D, delta_bias)]
    if backend == "numba":
        from dermseg.ops.ss2d import cpu

        return cpu.ss2d_scan(*inputs).to(x.dtype)
    return reference.ss2d_scan(*inputs).to(x.dtype)
