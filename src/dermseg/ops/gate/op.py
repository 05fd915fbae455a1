"""The gate's public function: as operators of PyTorch, or as one kernel where nothing is recorded."""

from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.ops import checks
from dermseg.ops.eager import kernel_runs, unmodified


def normalise_gate(y: Tensor, gate: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Normalise vectors and multiply them by SiLU(gate).

    Args:
        y: Vectors (..., channels).
        gate: Of the shape of `y`.
        norm: Over the channels, with scale and shift. It is called where no kernel runs, so that whoever
            looks at layers, to count them for example, meets it; always if it is modified.

    Returns:
        Vectors of the same shape.

    Raises:
        ConfigError: If the shapes of `y` and `gate` differ.
    """
    checks.shapes("normalise_gate", {"gate": (gate, tuple(y.shape))})
    if unmodified(norm, nn.LayerNorm) and norm.weight is not None and norm.bias is not None:
        weight, bias = norm.weight, norm.bias
        # Any other shape is the norm's own business, to normalise or to refuse.
        if weight.shape == y.shape[-1:] and kernel_runs("normalise_gate", y, gate, weight, bias):
            from dermseg.ops.gate import cpu

            return cpu.normalise_gate(y, gate, weight, bias, norm.eps)
    gated: Tensor = norm(y) * F.silu(gate)
    return gated
