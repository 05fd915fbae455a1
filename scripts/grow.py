"""How a trained network without a decoder stage at half of the image gets one."""

from pathlib import Path

import torch

from dermseg.models.registry import create_model
from dermseg.models.weights import load_model, read_notes, save_model

BEHIND = ("decoder.final.", "decoder.head.")
"""What stands behind the new stage, and so starts anew with it."""


def grow(source: Path, target: Path, half_width: int) -> None:
    """Write the network of a weight file with a stage at half of the image; all before it stays as it is.

    Args:
        source: Weights of an XLSTM-VMUNet with `half_width` 0.
        target: Weights of the same with `half_width`, drawn anew from there on.
        half_width: Channels of the new stage.
    """
    old = load_model(source)
    torch.manual_seed(0)
    new = create_model(old.name, **(old.arguments | {"half_width": half_width, "pretrained": False}))
    learned = {key: value for key, value in old.state_dict().items() if not key.startswith(BEHIND)}
    new.load_state_dict(new.state_dict() | learned)
    new.preprocessing = old.preprocessing
    save_model(new, target, notes=read_notes(source))
