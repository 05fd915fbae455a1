"""The selective scan on a CPU: a sequence is a map of one row, scanned in one direction."""

from torch import Tensor

from dermseg.ops.ss2d import cpu


def selective_scan(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, delta_bias: Tensor
) -> Tensor:
    """Run S6 with compiled kernels; arguments and result are those of the reference, float32 or float64."""
    delta, B, C = (tensor[:, None, :, None] for tensor in (delta, B, C))
    y = cpu.ss2d_scan(u[:, None], delta, A[None], B, C, D[None], delta_bias[None])
    return y[:, 0]
