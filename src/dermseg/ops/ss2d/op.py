"""The four-direction scan's public function: checks its inputs, chooses a back-end, settles the types."""

import torch
from torch import Tensor

from dermseg.ops import checks
from dermseg.ops.backend import choose
from dermseg.ops.eager import kernel_runs
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


def projected_ss2d_scan(
    x: Tensor, projected: Tensor, step_weight: Tensor, A: Tensor, D: Tensor, delta_bias: Tensor
) -> Tensor:
    """Scan a map as `ss2d_scan` does, with what a layer projects at every pixel: its step sizes, B and C.

    The step sizes of all channels are products of a few numbers per pixel and direction with `step_weight`.
    Where nothing is recorded, they are computed as the scan goes along, instead of filling four maps.

    Args:
        x: Map (batch, H, W, channels).
        projected: Per pixel and direction `rank` numbers, B and C (batch, H, W, 4, rank + 2 N).
        step_weight: Maps the first `rank` numbers to step sizes before bias and softplus (4, channels, rank).
        A: State matrices, diagonal per channel (4, channels, N); negative.
        D: Direct paths (4, channels).
        delta_bias: Added to the step sizes (4, channels).

    Returns:
        Map (batch, H, W, channels), of the type of `x`.

    Raises:
        ConfigError: If shapes do not fit each other, or a dimension is empty.
    """
    _, channels, N = checks.dimensions("projected_ss2d_scan", "A", A, 3)
    rank = checks.dimensions("projected_ss2d_scan", "step_weight", step_weight, 3)[2]
    batch, height, width, _ = checks.dimensions("projected_ss2d_scan", "x", x, 4)
    checks.shapes(
        "projected_ss2d_scan",
        {
            "x": (x, (batch, height, width, channels)),
            "projected": (projected, (batch, height, width, 4, rank + 2 * N)),
            "step_weight": (step_weight, (4, channels, rank)),
            "A": (A, (4, channels, N)),
            "D": (D, (4, channels)),
            "delta_bias": (delta_bias, (4, channels)),
        },
    )
    if kernel_runs("projected_ss2d_scan", x, projected, step_weight, A, D, delta_bias):
        from dermseg.ops.ss2d import cpu

        return cpu.projected_ss2d_scan(x, projected, step_weight, A, D, delta_bias)
    low_rank, B, C = torch.split(projected, [rank, N, N], dim=-1)
    delta = torch.einsum("bhwkr,kdr->bhwkd", low_rank, step_weight)
    return ss2d_scan(x, delta, A, B, C, D, delta_bias)
