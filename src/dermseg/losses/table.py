"""Every loss by the name that `dermseg train --loss` takes."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from dermseg.errors import ConfigError
from dermseg.losses.bce_dice import BCEDiceLoss
from dermseg.losses.structure import StructureLoss

LOSSES: dict[str, type[nn.Module]] = {"bce_dice": BCEDiceLoss, "structure": StructureLoss}
"""Losses on logits (B, 1, H, W) and a target of that shape."""


def create_loss(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Build a loss.

    Args:
        name: Key of `LOSSES`.
        arguments: Of its constructor.

    Raises:
        ConfigError: There is no such loss, or it has no such argument.
    """
    if name not in LOSSES:
        raise ConfigError(f"loss is {name!r}; choose one of {', '.join(LOSSES)}")
    try:
        return LOSSES[name](**arguments)
    except TypeError as error:
        raise ConfigError(f"loss_arguments do not fit the loss {name}: {error}") from error
