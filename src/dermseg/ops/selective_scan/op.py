"""The selective scan's public function: checks its inputs, chooses a back-end, settles the types."""

from torch import Tensor

from dermseg.ops import checks
from dermseg.ops.backend import choose
from dermseg.ops.selective_scan import reference


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    delta_bias: Tensor | None = None,
) -> Tensor:
    """Run a selective state-space model (S6, Eqs 1-5) along sequences.

    h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t u_t and y_t = C_t h_t + D u_t with Δ = softplus(delta + delta_bias).
    Half-precision inputs, also those autocast makes, are computed in float32.

    Args:
        u: Input (batch, L, channels).
        delta: Step sizes before bias and softplus (batch, L, channels).
        A: State matrix, diagonal per channel (channels, N); negative.
        B: Input matrix of every step (batch, L, N).
        C: Output matrix of every step (batch, L, N).
        D: Direct path from input to output (channels,); none if left out.
        delta_bias: Added to `delta` (channels,); none if left out.

    Returns:
        Output (batch, L, channels), of the type of `u`.

    Raises:
        ConfigError: If shapes do not fit each other, or a dimension is empty.
    """
    channels, N = checks.dimensions("selective_scan", "A", A, 2)
    batch, L, _ = checks.dimensions("selective_scan", "u", u, 3)
    D = u.new_zeros(channels) if D is None else D
    delta_bias = u.new_zeros(channels) if delta_bias is None else delta_bias
    checks.shapes(
        "selective_scan",
        {
            "u": (u, (batch, L, channels)),
            "delta": (delta, (batch, L, channels)),
            "B": (B, (batch, L, N)),
            "C": (C, (batch, L, N)),
            "D": (D, (channels,)),
            "delta_bias": (delta_bias, (channels,)),
        },
    )
    dtype = checks.computing_dtype(u, delta, A, B, C, D, delta_bias)
    backend = choose("selective_scan", u.device, dtype)
    if backend == "triton":  # reads half precision as it is
        from dermseg.ops.selective_scan import gpu

        return gpu.selective_scan(u, delta, A, B, C, D, delta_bias)
    inputs = [tensor.to(dtype) for tensor in (u, delta, A, B, C, D, delta_bias)]
    if backend == "numba":
        from dermseg.ops.selective_scan import cpu

        return cpu.selective_scan(*inputs).to(u.dtype)
    return reference.selective_scan(*inputs).to(u.dtype)
