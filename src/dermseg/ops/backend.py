# mypy: disable-error-code="import-untyped, import-not-found"
"""Which implementation of an operator runs: `numba` on a CPU, `triton` on a GPU, else `reference` (PyTorch).

The environment variable `DERMSEG_BACKEND` overrides the choice; it is read at every call. Where derivatives
are wanted that no kernel has, the reference runs all the same.
"""

import importlib.util
import logging
import os
import warnings
from functools import cache

import torch
from torch.autograd import forward_ad

from dermseg.errors import ConfigError, DermsegWarning
from dermseg.installing import installing

BACKENDS = ("reference", "numba", "triton")
VARIABLE = "DERMSEG_BACKEND"

_log = logging.getLogger(__name__)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def wanted() -> str | None:
    """Return the back-end that `DERMSEG_BACKEND` asks for, if it asks for one.

    Raises:
        ConfigError: If it names no back-end.
    """
    name = os.environ.get(VARIABLE) or None
    if name is not None and name not in BACKENDS:
        raise ConfigError(f"{VARIABLE}={name!r} is no back-end; choose one of: {', '.join(BACKENDS)}")
    return name


def transformed() -> bool:
    """Whether a transform of `torch.func` or forward-mode differentiation is under way.

    Kernels have one derivative, of first order in reverse mode. PyTorch would take what they return for
    constant in forward mode, without a word, and cannot look through the tensors of `grad` and `vmap`.
    """
    level: int = forward_ad._current_level
    return level >= 0 or torch._C._are_functorch_transforms_active()


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def choose(operator: str, device: torch.device | str, dtype: torch.dtype) -> str:
    """Name the back-end that will run an operator. `torch.compile` asks once, when it traces.

    Args:
        operator: Name of the operator, for the log and for messages.
        device: Where the inputs are.
        dtype: Type of the inputs; the CPU kernels compute half precision in float32.

    Returns:
        One of `BACKENDS`.

    Raises:
        ConfigError: If `DERMSEG_BACKEND` names no back-end.
    """
    kind = torch.device(device).type
    return _choose(operator, kind, str(dtype).removeprefix("torch."), wanted(), transformed())


@cache  # so that the choice is logged, and a missing back-end warned about, once
def _choose(operator: str, device: str, dtype: str, wanted: str | None, transformed: bool) -> str:
    fast = wanted or {"cpu": "numba", "cuda": "triton"}.get(device, "reference")
    obstacle = None
    if fast in _OBSTACLES:
        obstacle = _TRANSFORMED if transformed else _OBSTACLES[fast](device, dtype)
    if obstacle is not None:
        reason = f"{operator}: {obstacle}; using the slow reference implementation"
        warnings.warn(reason, DermsegWarning, stacklevel=3)
    chosen = fast if obstacle is None else "reference"
    _log.debug("%s on %s in %s: %s", operator, device, dtype, chosen)
    return chosen


def _numba_obstacle(device: str, dtype: str) -> str | None:
    """Say why numba cannot run, if it cannot."""
    if device != "cpu" or dtype not in _TYPES:
        return f"the numba back-end does not run {dtype} on {device}"
    if importlib.util.find_spec("numba") is None:
        return f"numba is not installed (remedy: {installing('numba')})"
    return None


def _triton_obstacle(device: str, dtype: str) -> str | None:
    """Say why Triton cannot run, if it cannot."""
    interpreted = device == "cpu" and os.environ.get("TRITON_INTERPRET") == "1"
    if not (device == "cuda" or interpreted) or dtype not in _TYPES:
        remedy = " (remedy: set TRITON_INTERPRET=1 before Python starts)" if device == "cpu" else ""
        return f"the triton back-end does not run {dtype} on {device}{remedy}"
    if importlib.util.find_spec("triton") is None:
        return f"triton is not installed (remedy: {installing('triton')}; on Windows, triton-windows)"
    if _triton_version() < _TRITON_FLOOR:
        return f"triton is older than 3.3 (remedy: {installing('torch>=2.7')})"
    if device == "cuda" and torch.cuda.is_available() and torch.cuda.get_device_capability() < _CAPABILITY:
        return "this GPU is older than Triton supports"
    return None


_TYPES = ("float32", "float64", "bfloat16", "float16")
_TRITON_FLOOR = (3, 3)  # the first whose kernels may keep a history in a tuple
_CAPABILITY = (7, 0)
_TRANSFORMED = "no kernel runs under torch.func or forward-mode differentiation"
_OBSTACLES = {"numba": _numba_obstacle, "triton": _triton_obstacle}


def _triton_version() -> tuple[int, ...]:
    import triton  # importlib.metadata would not find it under the name of triton-windows or pytorch-triton

    return tuple(int(part) for part in triton.__version__.split(".")[:2])
