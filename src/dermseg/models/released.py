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
from dermseg.layers.xlstm_released import ReleasedXLSTM
from dermseg.models.base import SegmentationModel
from dermseg.models.release import VSS_ENCODER_NAMES, VSS_NAMES, Release, Table, split_directions

WRAPPERS = ("model", "state_dict", "model_state_dict")
"""Entries under which training scripts store the weights beside their own state."""

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

DEAD = r"(?:.*\.)?total_(?:ops|params)"
"""Counters that the thop profiler leaves in checkpoints; no network reads them."""

COUNTERS = ".num_batches_tracked"
"""End of the names of batch counters, which old checkpoints lack and evaluation ignores."""

DISTRIBUTED: Table = ((r"^module\.", ""),)
"""Takes off what training on several devices puts before every name."""

BLOCK = r"layers\.([0-3])\.blocks\.(\d+)\."
"""Stage and number of a block in a name of the older kind."""

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

    A checkpoint must fit completely, less the keys known to be dead. One of VMamba (an image classifier)
    fills the encoder of VM-UNet and XLSTM-VMUNet and, mirrored, their decoder, stage i going to decoder stage
    3 - i, as their authors do; blocks beyond the depth of either side are reported. Patch expansions, head
    and fusion then stay as they were. When an error is raised, the whole network stays as it was.

    Args:
        model: A network of the checkpoint's size; `xlstm_vmunet` with the VSS encoder only.
        state_dict: The released weights, bare or as read by `read_released`.

    Returns:
        What was loaded, skipped and left random.

    Raises:
        CheckpointError: If a key is unknown, missing or there twice, a shape differs, a tensor is not dense
            or holds anything but finite floating-point numbers, or the network is not wired like the released
            one; the message names what does not fit.
        ConfigError: If the model's encoder is not the VSS encoder.
    """
    released = _unwrap(state_dict)
    if model.release is not None:
        return _load_system(model, model.release, released)
    if "encoder.patch_embed.projection.weight" not in model.state_dict():
        raise ConfigError("released weights fit only networks with the VSS encoder (encoder='vssm')")
    live, dead = _divided(released, DEAD)
    current = _current_names(live, (*DISTRIBUTED, (r"^vmunet\.", ""), *VMAMBA_NAMES))
    load = _load_network if any(name.startswith("layers_up.") for name in current) else _load_vmamba
    return load(model, live, current, dead)


def _load_system(model: SegmentationModel, release: Release, released: dict[str, Tensor]) -> LoadReport:
    live, dead = _divided(released, f"{DEAD}|{release.dead}")
    current = _current_names(live, DISTRIBUTED)
    converted = release.convert({name: live[key] for name, key in current.items()})
    names = {key: _rename(key, release.names) for key in model.state_dict()}
    expected = set(names.values())
    _refuse("unknown key", (current.get(name, name) for name in converted if name not in expected))
    absent = (name for name in expected if name not in converted)
    _refuse("missing key", (name for name in absent if not name.endswith(COUNTERS)))
    sources = {key: current.get(name, name) for key, name in names.items() if name in converted}
    _copy(model, sources, {current.get(name, name): value for name, value in converted.items()})
    return LoadReport(tuple(sources), dead, ())


def _load_network(
    model: SegmentationModel, released: dict[str, Tensor], current: dict[str, str], dead: tuple[str, ...]
) -> LoadReport:
    if getattr(model, "fusion", None) == "multilevel":
        raise CheckpointError(
            "fusion='multilevel' is wired otherwise than the released network, whose weights would not work "
            "in it; create the model with fusion='released', or, where there is no xLSTM, 'rows' or vm_unet"
        )
    names = {key: _rename(key, RELEASED_NAMES) for key in model.state_dict()}
    xlstm = getattr(model, "xlstm", None)
    if isinstance(xlstm, ReleasedXLSTM):
        names |= {f"xlstm.{ours}": f"xLSTM.{theirs}" for ours, theirs in xlstm.released_keys().items()}
    expected = set(names.values())
    _refuse("unknown key", (key for name, key in current.items() if name not in expected))
    missing = ((key, name) for key, name in names.items() if name not in current)
    _refuse("missing key", (name if key.startswith("xlstm.") else f"vmunet.{name}" for key, name in missing))
    _copy(model, {key: current[name] for key, name in names.items()}, released)
    return LoadReport(tuple(names), dead, ())


def _load_vmamba(
    model: SegmentationModel, released: dict[str, Tensor], current: dict[str, str], dead: tuple[str, ...]
) -> LoadReport:
    names = {key: _rename(_mirrored(key), RELEASED_NAMES) for key in model.state_dict()}
    sources = {key: current[name] for key, name in names.items() if name in current}
    taken = set(sources.values())
    unused = [name for name, key in current.items() if key not in taken]
    _refuse("unknown key", (current[name] for name in unused if not _skippable(name, current, taken)))
    absent = {name for name in names.values() if name not in current}
    _refuse("missing key", (name for name in absent if _required(name, current)))
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


def _unwrap(state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    """Take the weights out of a training checkpoint."""
    advice = f"give its state_dict, bare or under one of {', '.join(WRAPPERS)}"
    if not isinstance(state_dict, Mapping):
        raise CheckpointError(
            f"the released checkpoint is a {type(state_dict).__name__}, no dictionary; {advice}"
        )
    for wrapper in WRAPPERS:
        if isinstance(state_dict.get(wrapper), Mapping):
            state_dict = state_dict[wrapper]
            break
    strangers = [
        repr(key)
        for key, value in state_dict.items()
        if not isinstance(key, str) or not isinstance(value, Tensor)
    ]
    if strangers or not state_dict:
        held = ", ".join(strangers[:3]) or "nothing"
        raise CheckpointError(f"the released checkpoint holds {held} instead of weights; {advice}")
    return dict(state_dict)


def _divided(released: dict[str, Tensor], dead: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Part the weights from the dead keys, which a regular expression describes, and check the weights."""
    skipped = tuple(key for key in released if re.fullmatch(rf"(?:module\.)?(?:{dead})", key))
    live = {key: value for key, value in released.items() if key not in skipped}
    for key, value in live.items():
        fault = _fault(key, value)
        if fault:
            raise CheckpointError(
                f"the released checkpoint holds {key} as {fault}; a weight is a dense tensor of finite "
                "floating-point numbers. Save the state_dict anew, as it was trained."
            )
    return live, skipped


def _fault(key: str, value: Tensor) -> str | None:
    """Say why a tensor can be no weight; batch counters may be whole numbers."""
    if value.is_meta:
        return "a tensor without values (device 'meta')"
    if value.layout is not torch.strided or value.is_nested:
        return f"a tensor that is not dense ({value.layout})"
    counter = key.endswith(COUNTERS) and value.dtype == torch.int64
    if not value.is_floating_point() and not counter:
        return f"{value.dtype}"
    if not value.float().isfinite().all():
        return "NaN or infinite numbers"
    return None


def _current_names(keys: Iterable[str], table: Table) -> dict[str, str]:
    """The checkpoint's own keys by the names that they have in every generation and training of a release."""
    current: dict[str, str] = {}
    for key in keys:
        name = _rename(key, table)
        if name in current:
            raise CheckpointError(
                f"the released checkpoint has one parameter twice, as {current[name]} and {key}; remove one"
            )
        current[name] = key
    return current


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
            "Create the model with the sizes and the form of the checkpoint."
        )


def _copy(model: SegmentationModel, sources: dict[str, str], released: dict[str, Tensor]) -> None:
    """Copy released tensors into our parameters once all shapes are known to fit."""
    state = model.state_dict()
    fitted = {key: split_directions(key, released[source], state[key]) for key, source in sources.items()}
    _refuse(
        "wrong shape of",
        (
            f"{sources[key]} {tuple(value.shape)}, expected {tuple(state[key].shape)}"
            for key, value in fitted.items()
            if value.shape != state[key].shape
        ),
    )
    model.load_state_dict(state | fitted)
