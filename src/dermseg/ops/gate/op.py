"""The gate's public function: as operators of PyTorch, or as one kernel where nothing is recorded."""

from torch import Tensor
from torch.nn import functional as F

from dermseg.ops.eager import kernel_runs


def normalise_gate(y: Tensor, gate: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Normalise vectors, scale and shift them, and multiply them by SiLU(gate).

    Args:
        y: Vectors (..., channels).
        gate: Of the shape of `y`.
        weight: Scale (channels,).
        bias: Shift (channels,).
        eps: Added to the variance.

    Returns:
        Vectors of the same shape.
    """
    if kernel_runs("normalise_gate", y, gate, weight, bias):
        from dermseg.ops.gate import cpu

        return cpu.normalise_gate(y, gate, weight, bias, eps)
    return F.layer_norm(y, weight.shape, weight, bias, eps) * F.silu(gate)
