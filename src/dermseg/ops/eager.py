"""Says when an operator may run as one compiled kernel without telling PyTorch: nothing is being recorded."""

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook
from torch.utils._python_dispatch import _get_current_dispatch_mode

from dermseg.ops.backend import choose, transformed

_TYPES = (torch.float32, torch.float64)


def kernel_runs(operator: str, *tensors: Tensor) -> bool:
    """Whether the kernels of the CPU compute this call, and neither gradients nor a graph are wanted of it.

    A kernel for inference alone may join what training keeps apart. Whoever records, counts or translates
    operators (autograd, `torch.func`, `torch.compile`, `torch.export`, `torch.jit.trace`, autocast, a
    dispatch mode) wants the operators that it knows.

    Args:
        operator: Name of the operator, for messages.
        tensors: All its inputs.
    """
    if torch.compiler.is_compiling() or torch._C._is_tracing():
        return False
    if transformed() or _get_current_dispatch_mode() is not None:
        return False
    first = tensors[0]
    if torch.is_autocast_enabled("cpu") or first.dtype not in _TYPES:
        return False
    if any(tensor.dtype != first.dtype or tensor.device.type != "cpu" for tensor in tensors):
        return False
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return False
    chosen: str = choose(operator, first.device, first.dtype)
    return chosen == "numba"


def unmodified(layer: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a layer computes what its type says, from the parameters of that type, and nobody looks on.

    A subclass may compute something else. A parametrization, a weight norm for example, makes one of a layer,
    with other parameters, of which the weights are made anew at every call. Pruning does that in a hook;
    other hooks read or change what passes the layer.

    Args:
        layer: A layer whose parameters a kernel would use without calling it.
        kind: The type that the kernel stands in for.
    """
    if layer._forward_hooks or layer._forward_pre_hooks or _has_any_global_hook():  # type: ignore[no-untyped-call]
        return False
    return type(layer) is kind
