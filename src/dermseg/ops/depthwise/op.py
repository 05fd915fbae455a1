"""The convolution's public function: as operators of PyTorch, or as one kernel where nothing is recorded."""

from torch import Tensor
from torch.nn import functional as F

from dermseg.ops.eager import kernel_runs


def convolve_silu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve every channel of a map with its own 3x3 filter, zeros around the map, then apply SiLU.

    Args:
        x: Map, channels last (batch, H, W, channels).
        weight: Filters (channels, 1, 3, 3).
        bias: Added to the convolution (channels,).

    Returns:
        Map of the same shape.
    """
    if kernel_runs("convolve_silu", x, weight, bias):
        from dermseg.ops.depthwise import cpu

        return cpu.convolve_silu(x, weight, bias)
    convolved = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=1, groups=len(bias))
    return F.silu(convolved.permute(0, 2, 3, 1))
