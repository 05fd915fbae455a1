"""Which implementation of an operator runs: `numba` on a CPU, `reference` (plain PyTorch) everywhere else.

The environment variable `DERMSEG_BACKEND` overrides the choice; it is read at every call.
"""

import importlib.util
import logging
import os
import warnings
from functools import cache

import torch

from dermseg.errors import ConfigError, DermsegWarning

BACKENDS = ("reference", "numba")
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
    return _choose(operator, kind, str(dtype).removeprefix("torch."), wanted())


@cache  # so that the choice is logged, and a missing back-end warned about, once
def _choose(operator: str, device: str, dtype: str, wanted: str | None) -> str:
    chosen = "reference"
    if wanted != "reference":
        fits = device == "cpu" and dtype in ("float32", "float64", "bfloat16", "float16")
        if not fits:
            if wanted == "numba":
                _warn(f"{operator}: the numba back-end does not run {dtype} on {device}")
        elif importlib.util.find_spec("numba") is None:
            _warn(f"{operator}: numba is not installed (remedy: pip install numba)")
        else:
            chosen = "numba"
    _log.debug("%s on %s in %s: %s", operator, device, dtype, chosen)
    return chosen


def _warn(reason: str) -> None:
    warnings.warn(f"{reason}; using the slow reference implementation", DermsegWarning, stacklevel=4)
