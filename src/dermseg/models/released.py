"""Weights that the authors of a network released, under their own key names, put into our networks.

The tables below are the whole difference in naming. A key they do not explain is an error, never ignored.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dermseg.errors import CheckpointError, ConfigError
from dermseg.layers.xlstm_released import RELEASED_KEYS
from dermseg.models.base import SegmentationModel

WRAPPERS = ("model", "state_dict", "model_state_dict")
"""Entries under which training scripts store the weights beside their own state."""

Table = tuple[tuple[str, str], ...]
"""Pairs of a regular expression and its replacement, applied in turn."""

RELEASED_NAMES: Table = (
    (r"^encoder\.patch_embed\.projection\.", "patch_embed.proj."),
    (r"^encoder\.patch_embed\.", "patch_embed."),
    (r"^encoder\.stages\.(\d)\.(\d+)\.", r"layers.\1.blocks.\2."),
    (r"^encoder\.merges\.(\d)\.", r"layers.\1.downsample."),
    (r"^decoder\.stages\.(\d)\.blocks\.", r"layers_up.\1.blocks."),
    (r"^decoder\.stages\.(\d)\.expand\.", r"layers_up.\1.upsample."),
    (r"^decoder\.final\.", "final_up."),
    (r"^decoder\.head\.", "final_conv."),
    (r"(blocks\.\d+)\.norm\.", r"\1.ln_1."),
    (r"\.ss2d\.", ".self_attention."),
    (r"\.self_attention\.norm\.", ".self_attention.out_norm."),
    (r"\.conv\.(weight|bias)$", r".conv2d.\1"),
    (r"\.x_proj$", ".x_proj_weight"),
    (r"\.step_(weight|bias)$", r".dt_projs_\1"),
    (r"\.A_log$", ".A_logs"),
    (r"\.D$", ".Ds"),
)
"""From our names to those of VM-UNet, without its first `vmunet.`; the xLSTM's table is `RELEASED_KEYS`."""

VMAMBA_NAMES: Table = (
    (r"^patch_embed\.0\.", "patch_embed.proj."),
    (r"^patch_embed\.2\.", "patch_embed.norm."),
    (r"\.downsample\.1\.", ".downsample.norm."),
    (r"\.downsample\.2\.", ".downsample.reduction."),
    (r"(blocks\.\d+)\.norm\.", r"\1.ln_1."),
    (r"(blocks\.\d+)\.op\.", r"\1.self_attention."),
)
"""From the newer names of VMamba to the older ones, which VM-UNet kept."""

DEAD = r"(?:.*\.)?total_(?:ops|params)"
"""Counters that the thop profiler leaves in checkpoints; no network reads them."""

VMAMBA_HEAD = r"(?:classifier|norm|head)\..*"
"""The classifier of VMamba, which a segmentation network has no use for."""


@dataclass(frozen=True)
class LoadReport:
    """What became of a released checkpoint."""

    loaded: tuple[str, ...]
    """Our parameters that now hold released values."""
    skipped: tuple[str, ...]
    """Released keys that have no place in the network."""
    untouched: tuple[str, ...]
    """Our parameters that the checkpoint does not reach: they keep their random values."""


def read_released(path: Path | str) -> dict[str, Any]:
    """Read a released `.pth` file without running any code it may hold.

    Args:
        path: The file.

    Returns:
        What the file holds, for `load_released`.

    Raises:
        CheckpointError: If the file is unreadable, or holds anything but tensors and plain values.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load documents no list of errors
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"{path}: cannot be read as plain weights ({reason}). If the file is whole and you trust it, "
            "open it once where its own code is installed and save its state_dict alone."
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not a dictionary of weights")
    return content


def load_released(model: SegmentationModel, state_dict: Mapping[str, Any]) -> LoadReport:
    """Put a released checkpoint into one of our networks.

    Checkpoints of VM-UNet and XLSTM-VMUNet must fit completely. One of VMamba (an image classifier) fills the
    encoder and, mirrored, the decoder, stage i going to decoder stage 3 - i, as the authors of VM-UNet and
    XLSTM-VMUNet do; blocks that either side lacks are reported. Patch expansions, head and fusion stay as
    they were. When an error is raised, so does the whole network.

    Args:
        model: `vm_unet`, `vm_unet_d2292` or `xlstm_vmunet` with the VSS encoder, of the checkpoint's size.
        state_dict: The released weights, bare or as read by `read_released`.

    Returns:
        What was loaded, skipped and left random.

    Raises:
        CheckpointError: If a key is unknown or missing, or a shape differs; the message names it.
        ConfigError: If the model's encoder is not the VSS encoder.
    """
    if "encoder.patch_embed.projection.weight" not in model.state_dict():
        raise ConfigError("released weights fit only networks with the VSS encoder (encoder='vssm')")
    released = _unwrap(state_dict)
    if any(key.removeprefix("vmunet.").startswith("layers_up.") for key in released):
        return _load_network(model, released)
    return _load_vmamba(model, released)


def _load_network(model: SegmentationModel, released: dict[str, Tensor]) -> LoadReport:
    skipped = tuple(key for key in released if re.fullmatch(DEAD, key))
    current = {_current_name(key): key for key in released if key not in skipped}
    names = {key: _rename(key, RELEASED_NAMES) for key in model.state_dict()}
    expected = set(names.values())
    _refuse("unknown key", (key for name, key in current.items() if name not in expected))
    _refuse("missing key", expected - set(current))
    _copy(model, {key: current[name] for key, name in names.items()}, released)
    return LoadReport(tuple(names), skipped, ())


def _load_vmamba(model: SegmentationModel, released: dict[str, Tensor]) -> LoadReport:
    current = {_current_name(key): key for key in released}
    names = {key: _rename(_mirrored(key), RELEASED_NAMES) for key in model.state_dict()}
    sources = {key: current[name] for key, name in names.items() if name in current}
    taken = set(sources.values())
    skipped = tuple(key for key in released if key not in taken)
    _refuse("unknown key", (key for key in skipped if not _skippable(key, current, taken)))
    _copy(model, sources, released)
    return LoadReport(tuple(sources), skipped, tuple(key for key in names if key not in sources))


def _skippable(key: str, current: dict[str, str], taken: set[str]) -> bool:
    """Whether VMamba may have a key that we lack: its classifier, dead counters, a block beyond our depth."""
    if re.fullmatch(f"{VMAMBA_HEAD}|{DEAD}", key):
        return True
    first_block = re.sub(r"(layers\.[0-3]\.blocks)\.\d+\.", r"\1.0.", _current_name(key))
    return current.get(first_block) in taken


def _unwrap(state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    """Take the weights out of a training checkpoint, and DataParallel's prefix off their names."""
    for wrapper in WRAPPERS:
        if isinstance(state_dict.get(wrapper), Mapping):
            state_dict = state_dict[wrapper]
            break
    strangers = [repr(key) for key, value in state_dict.items() if not isinstance(value, Tensor)]
    if strangers or not state_dict:
        raise CheckpointError(
            f"the released checkpoint holds {', '.join(strangers[:3]) or 'nothing'} instead of weights; "
            f"give its state_dict, bare or under one of {', '.join(WRAPPERS)}"
        )
    return {key.removeprefix("module."): value for key, value in state_dict.items()}


def _current_name(key: str) -> str:
    """The one name for all generations of a released key: ours in the xLSTM, else VM-UNet's."""
    xlstm = re.match(r"xLSTM\.(layers\.\d+\.)", key)
    if not xlstm:
        return _rename(key.removeprefix("vmunet."), VMAMBA_NAMES)
    parameter = _rename(key[xlstm.end() :], tuple((f"^{start}", ours) for start, ours in RELEASED_KEYS))
    return f"xlstm.{xlstm[1]}{parameter}"


def _rename(key: str, table: Table) -> str:
    for pattern, replacement in table:
        key = re.sub(pattern, replacement, key)
    return key


def _mirrored(key: str) -> str:
    """Encoder parameter whose VMamba weights a decoder block shares; any other key as it is."""
    found = re.match(r"decoder\.stages\.(\d)\.blocks\.", key)
    return f"encoder.stages.{3 - int(found[1])}.{key[found.end() :]}" if found else key


def _refuse(fault: str, keys: Iterable[str]) -> None:
    keys = sorted(keys)
    if keys:
        more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
        raise CheckpointError(
            f"the released checkpoint does not fit the model: {fault} {', '.join(keys[:3])}{more}. "
            "Create the model with the depths, fusion and xlstm_layers of the checkpoint."
        )


def _copy(model: SegmentationModel, sources: dict[str, str], released: dict[str, Tensor]) -> None:
    """Copy released tensors into our parameters once all shapes are known to fit."""
    state = model.state_dict()
    fitted = {key: _folded(key, released[source], state[key]) for key, source in sources.items()}
    _refuse(
        "wrong shape of",
        (
            f"{sources[key]} {tuple(value.shape)}, expected {tuple(state[key].shape)}"
            for key, value in fitted.items()
            if value.shape != state[key].shape
        ),
    )
    model.load_state_dict(state | fitted)


def _folded(key: str, value: Tensor, ours: Tensor) -> Tensor:
    """Split off the axis of four directions, which the release joins with the channels of A_log and D."""
    if key.endswith((".A_log", ".D")) and ours.flatten(0, 1).shape == value.shape:
        return value.view_as(ours)
    return value
