"""ImageNet weights of timm models, put into networks of ours that share layers with them."""

import re

import torch
from torch import Tensor, nn

from dermseg.errors import ConfigError
from dermseg.layers.downloads import downloading
from dermseg.models.release import Table


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
