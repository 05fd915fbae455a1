"""Weights that the authors of a network released, under their own key names, put into our networks.

The tables below are the whole difference in naming. A key they do not explain is an error, never ignored.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dermseg.errors import CheckpointError, ConfigError
from dermseg.layers.xlstm_released import ReleasedXLSTM
from dermseg.models.base import SegmentationModel
from dermseg.models.checkpoint import (
    COUNTERS,
    DEAD,
    DISTRIBUTED,
    current_names,
    divided,
    refuse,
    rename,
    unwrap,
)
from dermseg.models.release import VSS_ENCODER_NAMES, VSS_NAMES, Release, Table, split_directions
from dermseg.models.vil_encoder import ViLEncoder
from dermseg.models.vision_lstm import ViL

RELEASED_NAMES: Table = (
    *VSS_ENCODER_NAMES,
    (r"^decoder\.stages\.(\d)\.blocks\.", r"layers_up.\1.blocks."),
    (r"^decoder\.stages\.(\d)\.expand\.", r"layers_up.\1.upsample."),
    (r"^decoder\.final\.", "final_up."),
    (r"^decoder\.head\.", "final_conv."),
    *VSS_NAMES,
)
"""From our names to those of VM-UNet, without its first `vmunet.`; `ReleasedXLSTM` has those of the xLSTM."""

VMAMBA_NAMES: Table = (
    (r"^patch_embed\.0\.", "patch_embed.proj."),
    (r"^patch_embed\.2\.", "patch_embed.norm."),
    (r"\.downsample\.1\.", ".downsample.norm."),
    (r"\.downsample\.2\.", ".downsample.reduction."),
    (r"(blocks\.\d+)\.norm\.", r"\1.ln_1."),
    (r"(blocks\.\d+)\.op\.", r"\1.self_attention."),
)
"""From the newer names of VMamba to the older ones, which VM-UNet kept."""

BLOCK = r"layers\.([0-3])\.blocks\.(\d+)\."
"""Stage and number of a block in a name of the older kind."""

NUMBERS = (np.bool_, np.int32, np.int64, np.float32, np.float64)
"""Types of NumPy's numbers that training scripts keep beside the weights, such as a mean loss."""

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
        CheckpointError: If the file is unreadable, or holds anything but tensors, plain values and NumPy's
            numbers.
    """
    try:
        with torch.serialization.safe_globals(_makers_of_numbers()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load documents no list of errors
        raise CheckpointError(
            f"{path}: cannot be read as plain weights ({_reason(error)}). If the file is whole and you trust "
            "it, open it once where its own code is installed and save its state_dict alone."
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not a dictionary of weights")
    return content


def _reason(error: Exception) -> str:
    """Return what PyTorch says that it refused to make, else the first line of the error."""
    refused = re.search(r"(?:Unsupported|Trying to load) .*?(?=\. Please|\.?$)", str(error), re.MULTILINE)
    return refused[0] if refused else (str(error).splitlines() or [type(error).__name__])[0]


def _makers_of_numbers() -> list[Any]:
    """What a file makes NumPy's numbers with, by the names of NumPy 1 and 2; none runs other code."""
    scalar = np.float64().__reduce__()[0]
    names = (f"numpy.{core}.multiarray.scalar" for core in ("core", "_core"))
    return [*((scalar, name) for name in names), np.dtype, *(type(np.dtype(number)) for number in NUMBERS)]


def load_released(model: SegmentationModel | ViL, state_dict: Mapping[str, Any]) -> LoadReport:
    """Put a released checkpoint into one of our networks.

    A checkpoint must fit completely, less the keys known to be dead. Those of two image classifiers fill
    parts of a network, whose other parts stay as they were. One of VMamba fills the VSS encoder of VM-UNet
    and XLSTM-VMUNet and, mirrored, their decoder, stage i going to decoder stage 3 - i, as their authors do;
    blocks beyond the depth of either side are reported. One of Vision-LSTM fills the encoder of that name.
    When an error is raised, the whole network stays as it was.

    Args:
        model: A network of the checkpoint's size.
        state_dict: The released weights, bare or as read by `read_released`.

    Returns:
        What was loaded, skipped and left random.

    Raises:
        CheckpointError: If a key is unknown, missing or there twice, a shape differs, a tensor is not dense
            or holds anything but finite floating-point numbers, or the network is not wired like the released
            one; the message names what does not fit.
        ConfigError: If nothing was released for the network's encoder, which is timm's.
    """
    released = unwrap(state_dict)
    if model.release is not None:
        return _load_system(model, model.release, released)
    encoder = getattr(model, "encoder", None)
    if isinstance(encoder, ViLEncoder):
        return _load_vil(model, encoder.backbone, released)
    if "encoder.patch_embed.projection.weight" not in model.state_dict():
        raise ConfigError("no weights were released for a timm encoder; create the model with encoder='vssm'")
    live, dead = divided(released, DEAD)
    current = current_names(live, (*DISTRIBUTED, (r"^vmunet\.", ""), *VMAMBA_NAMES))
    load = _load_network if any(name.startswith("layers_up.") for name in current) else _load_vmamba
    return load(model, live, current, dead)


def _load_system(model: nn.Module, release: Release, released: dict[str, Tensor]) -> LoadReport:
    live, dead = divided(released, f"{DEAD}|{release.dead}")
    current = current_names(live, DISTRIBUTED)
    converted = release.convert({name: live[key] for name, key in current.items()})
    names = {key: rename(key, release.names) for key in model.state_dict()}
    expected = set(names.values())
    refuse("unknown key", (current.get(name, name) for name in converted if name not in expected))
    absent = (name for name in expected if name not in converted)
    refuse("missing key", (name for name in absent if not name.endswith(COUNTERS)))
    sources = {key: current.get(name, name) for key, name in names.items() if name in converted}
    _copy(model, sources, {current.get(name, name): value for name, value in converted.items()})
    return LoadReport(tuple(sources), dead, ())


def _load_vil(model: nn.Module, backbone: ViL, released: dict[str, Tensor]) -> LoadReport:
    report = _load_system(backbone, backbone.release, released)
    loaded = tuple(f"encoder.backbone.{key}" for key in report.loaded)
    return LoadReport(loaded, report.skipped, tuple(key for key in model.state_dict() if key not in loaded))


def _load_network(
    model: SegmentationModel, released: dict[str, Tensor], current: dict[str, str], dead: tuple[str, ...]
) -> LoadReport:
    if getattr(model, "fusion", None) == "multilevel":
        raise CheckpointError(
            "fusion='multilevel' is wired otherwise than the released network, whose weights would not work "
            "in it; create the model with fusion='released', or, where there is no xLSTM, 'rows' or vm_unet"
        )
    names = {key: rename(key, RELEASED_NAMES) for key in model.state_dict()}
    xlstm = getattr(model, "xlstm", None)
    if isinstance(xlstm, ReleasedXLSTM):
        names |= {f"xlstm.{ours}": f"xLSTM.{theirs}" for ours, theirs in xlstm.released_keys().items()}
    expected = set(names.values())
    refuse("unknown key", (key for name, key in current.items() if name not in expected))
    missing = ((key, name) for key, name in names.items() if name not in current)
    refuse("missing key", (name if key.startswith("xlstm.") else f"vmunet.{name}" for key, name in missing))
    _copy(model, {key: current[name] for key, name in names.items()}, released)
    return LoadReport(tuple(names), dead, ())


def _load_vmamba(
    model: SegmentationModel, released: dict[str, Tensor], current: dict[str, str], dead: tuple[str, ...]
) -> LoadReport:
    names = {key: rename(_mirrored(key), RELEASED_NAMES) for key in model.state_dict()}
    sources = {key: current[name] for key, name in names.items() if name in current}
    taken = set(sources.values())
    unused = [name for name, key in current.items() if key not in taken]
    refuse("unknown key", (current[name] for name in unused if not _skippable(name, current, taken)))
    absent = {name for name in names.values() if name not in current}
    refuse("missing key", (name for name in absent if _required(name, current)))
    _copy(model, sources, released)
    skipped = (*dead, *(current[name] for name in unused))
    return LoadReport(tuple(sources), skipped, tuple(key for key in names if key not in sources))


def _skippable(name: str, current: dict[str, str], taken: set[str]) -> bool:
    """Whether VMamba may have a parameter that we lack: of its classifier, or of a block beyond our depth."""
    first_block = re.sub(BLOCK, r"layers.\1.blocks.0.", name)
    return re.fullmatch(VMAMBA_HEAD, name) is not None or current.get(first_block) in taken


def _required(name: str, current: dict[str, str]) -> bool:
    """Whether VMamba must have a parameter of ours: of its encoder, but not of a block beyond its depth."""
    block = re.match(BLOCK, name)
    if not block:
        return name.startswith(("patch_embed.", "layers."))
    others = (re.match(BLOCK, other) for other in current)
    deepest = max((int(other[2]) for other in others if other and other[1] == block[1]), default=0)
    return int(block[2]) <= deepest


def _mirrored(key: str) -> str:
    """Encoder parameter whose VMamba weights a decoder block shares; any other key as it is."""
    found = re.match(r"decoder\.stages\.(\d)\.blocks\.", key)
    return f"encoder.stages.{3 - int(found[1])}.{key[found.end() :]}" if found else key


def _copy(model: nn.Module, sources: dict[str, str], released: dict[str, Tensor]) -> None:
    """Copy released tensors into our parameters once all shapes are known to fit."""
    state = model.state_dict()
    fitted = {key: split_directions(key, released[source], state[key]) for key, source in sources.items()}
    refuse(
        "wrong shape of",
        (
            f"{sources[key]} {tuple(value.shape)}, expected {tuple(state[key].shape)}"
            for key, value in fitted.items()
            if value.shape != state[key].shape
        ),
    )
    model.load_state_dict(state | fitted)
