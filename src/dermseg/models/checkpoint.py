"""What a released checkpoint holds, settled before any network is touched: weights, dead keys, names."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from dermseg.errors import CheckpointError
from dermseg.models.release import Table

WRAPPERS = ("model", "state_dict", "model_state_dict", "network_weights", "net")
"""Entries under which training scripts store the weights beside their own state; the fourth is nnU-Net's."""

DEAD = r"(?:.*\.)?total_(?:ops|params)"
"""Counters that the thop profiler leaves in checkpoints; no network reads them."""

COUNTERS = ".num_batches_tracked"
"""End of the names of batch counters, which old checkpoints lack and evaluation ignores."""

DISTRIBUTED: Table = ((r"(?:^|(?<=\.))_orig_mod\.", ""), (r"^module\.", ""))
"""Takes off what compiling a network or a part of it, and training on several devices, put before names."""


def unwrap(state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    """Take the weights out of a training checkpoint.

    Args:
        state_dict: The weights by name, bare or under one of `WRAPPERS`.

    Returns:
        The weights by name.

    Raises:
        CheckpointError: If it holds anything but tensors under names, or none at all.
    """
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


def divided(released: dict[str, Tensor], dead: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Part the weights from the dead keys.

    Args:
        released: Tensors by the names of the checkpoint.
        dead: Regular expression of the keys that no network of ours has a place for.

    Returns:
        The weights, and the dead keys.

    Raises:
        CheckpointError: If a weight is not dense, or holds anything but finite floating-point numbers.
    """
    skipped = tuple(key for key in released if re.fullmatch(dead, rename(key, DISTRIBUTED)))
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


def current_names(keys: Iterable[str], table: Table) -> dict[str, str]:
    """Return the checkpoint's own keys by the names that they have in every generation of a release.

    Args:
        keys: Of the checkpoint.
        table: From its names to those of every generation.

    Raises:
        CheckpointError: If two keys have one name.
    """
    current: dict[str, str] = {}
    for key in keys:
        name = rename(key, table)
        if name in current:
            raise CheckpointError(
                f"the released checkpoint has one parameter twice, as {current[name]} and {key}; remove one"
            )
        current[name] = key
    return current


def rename(key: str, table: Table) -> str:
    """Apply a table of names."""
    for pattern, replacement in table:
        key = re.sub(pattern, replacement, key)
    return key


def refuse(fault: str, keys: Iterable[str]) -> None:
    """Refuse a checkpoint that has a fault at these keys; without any, it has none.

    Raises:
        CheckpointError: If there is a key; the message names the first three.
    """
    keys = sorted(keys)
    if keys:
        more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
        raise CheckpointError(
            f"the released checkpoint does not fit the model: {fault} {', '.join(keys[:3])}{more}. "
            "Create the model with the sizes and the form of the checkpoint."
        )
