"""Checks that every scan makes on its inputs before a back-end sees them."""

from functools import reduce

import torch
from torch import Tensor

from dermseg.errors import ConfigError


def dimensions(operator: str, name: str, tensor: Tensor, count: int) -> torch.Size:
    """Return the shape of `tensor`, which must have `count` dimensions, none of them empty.

    Raises:
        ConfigError: If it does not.
    """
    if tensor.ndim != count:
        raise ConfigError(f"{operator}: {name} must have {count} dimensions, got shape {tuple(tensor.shape)}")
    if 0 in tensor.shape:
        raise ConfigError(f"{operator}: {name} is empty, shape {tuple(tensor.shape)}")
    return tensor.shape


def shapes(operator: str, expected: dict[str, tuple[Tensor, tuple[int, ...]]]) -> None:
    """Compare the shape of every named tensor with the expected one.

    Raises:
        ConfigError: At the first that differs.
    """
    for name, (tensor, shape) in expected.items():
        if tensor.shape != shape:
            raise ConfigError(f"{operator}: {name} must have shape {shape}, got {tuple(tensor.shape)}")


def computing_dtype(*tensors: Tensor) -> torch.dtype:
    """Type to compute in: float32, or float64 as soon as one input is.

    Scans multiply thousands of factors, which half precision cannot hold.
    """
    return reduce(torch.promote_types, (tensor.dtype for tensor in tensors), torch.float32)
