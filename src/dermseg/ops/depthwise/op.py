"""The convolution's public function: as operators of PyTorch, or as one kernel where nothing is recorded."""

from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.ops.eager import kernel_runs, unmodified


def convolve_silu(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """Convolve every channel of a map with its own 3x3 filter, zeros around the map, then apply SiLU.

    Args:
        x: Map, channels last (batch, H, W, channels).
        convolution: Depthwise, 3x3, padded by 1, with a bias. It is called where no kernel runs, so that
            whoever looks at layers, to count them for example, meets it; always if it is modified or another.

    Returns:
        Map of the same shape.
    """
    if _is_known(convolution, x) and convolution.bias is not None:
        weight, bias = convolution.weight, convolution.bias
        if kernel_runs("convolve_silu", x, weight, bias):
            from dermseg.ops.depthwise import cpu

            return cpu.convolve_silu(x, weight, bias)
    convolved: Tensor = convolution(x.permute(0, 3, 1, 2))
    return F.silu(convolved.permute(0, 2, 3, 1))


def _is_known(convolution: nn.Conv2d, x: Tensor) -> bool:
    """Whether the convolution is the one that the kernel computes, which looks at the parameters alone."""
    channels = x.shape[-1]
    return (
        unmodified(convolution, nn.Conv2d)
        and x.ndim == 4
        and convolution.weight.shape == (channels, 1, 3, 3)
        and convolution.groups == channels
        and convolution.stride == convolution.padding == convolution.dilation == (1, 1)
        and convolution.padding_mode == "zeros"
    )
