"""Which device computes: one rule for training and inference."""

from typing import TYPE_CHECKING

from dermseg.errors import ConfigError

if TYPE_CHECKING:
    import torch


def resolve_device(device: "str | torch.device") -> "torch.device":
    """Turn a device name into a device that is there.

    Args:
        device: `cpu`, `cuda`, `cuda:1`, `mps`, ..., or `auto` for a CUDA GPU if there is one, else the CPU.
            `auto` never takes `mps`, where the scans run in a slow loop.

    Raises:
        ConfigError: The name is unknown, or this machine (or this build of PyTorch) has no such device.
    """
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.empty(0, device=resolved)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f"The device {str(device)!r} is not available on this machine; use cpu or auto."
        ) from error
    return resolved
