"""What a network has to know about the release it equals: how the authors named its parameters."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dermseg.errors import CheckpointError

Table = tuple[tuple[str, str], ...]
"""Pairs of a regular expression and its replacement, applied in turn."""


def as_released(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Leave released tensors as they are."""
    return tensors


@dataclass(frozen=True)
class Release:
    """The naming of one released system, for `dermseg.models.released.load_released`."""

    names: Table = ()
    """From our parameter names to the released ones."""
    dead: str = r"(?!)"
    """Regular expression of the released keys that never touch the output; they are skipped and reported."""
    convert: Callable[[dict[str, Tensor]], dict[str, Tensor]] = as_released
    """Where a release divides its tensors otherwise than we do: rebuilds them, under released names."""


VSS_NAMES: Table = (
    (r"(blocks\.\d+)\.norm\.", r"\1.ln_1."),
    (r"\.ss2d\.", ".self_attention."),
    (r"\.self_attention\.norm\.", ".self_attention.out_norm."),
    (r"\.conv\.(weight|bias)$", r".conv2d.\1"),
    (r"\.x_proj$", ".x_proj_weight"),
    (r"\.step_(weight|bias)$", r".dt_projs_\1"),
    (r"\.A_log$", ".A_logs"),
    (r"\.D$", ".Ds"),
)
"""From our names inside a VSS block to those of VM-UNet and its relatives."""
VSS_ENCODER_NAMES: Table = (
    (r"^encoder\.patch_embed\.projection\.", "patch_embed.proj."),
    (r"^encoder\.patch_embed\.", "patch_embed."),
    (r"^encoder\.stages\.(\d)\.(\d+)\.", r"layers.\1.blocks.\2."),
    (r"^encoder\.merges\.(\d)\.", r"layers.\1.downsample."),
)
"""From our names of a VSS encoder, around its blocks, to those of VM-UNet and its relatives."""

MAMBA_NAMES: Table = (
    (r"\.mamba\.conv\.", ".mamba.conv1d."),
    (r"\.mamba\.step_proj\.", ".mamba.dt_proj."),
)
"""From our names inside a Mamba layer to those of its authors; the layer itself is `mamba` everywhere."""


def split_directions(name: str, value: Tensor, ours: Tensor) -> Tensor:
    """Split off the axis of four directions, which releases join with the channels of A_log and D."""
    if name.endswith((".A_log", ".D")) and ours.ndim > 1 and ours.flatten(0, 1).shape == value.shape:
        return value.view_as(ours)
    return value


def join_attention(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Join the released query, key and value layers of each block to one layer, as timm's blocks have it.

    Args:
        tensors: The released tensors.

    Returns:
        The same, with "attn.qkv" in place of "attn.query", "attn.key" and "attn.value".

    Raises:
        CheckpointError: If one of the three is missing, their shapes differ, or a layer is joined already, as
            ours are and released ones are not.
    """
    joined = {}
    for key, value in tensors.items():
        block, *part = key.split(".attn.")
        kind, _, parameter = part[0].partition(".") if part else ("", "", "")
        if kind == "qkv":
            raise CheckpointError(
                f"the released checkpoint does not fit the model: unknown key {key}. Releases keep query, "
                "key and value apart; open weights of dermseg by load_model"
            )
        if kind not in ("query", "key", "value") or parameter not in ("weight", "bias"):
            joined[key] = value
            continue
        parts = [f"{block}.attn.{each}.{parameter}" for each in ("query", "key", "value")]
        for name in parts:
            if name not in tensors:
                raise CheckpointError(f"the released checkpoint does not fit the model: missing key {name}")
            if tensors[name].shape != value.shape:
                raise CheckpointError(
                    f"the released checkpoint does not fit the model: {name} has shape "
                    f"{tuple(tensors[name].shape)}, but {key} has {tuple(value.shape)}"
                )
        joined[f"{block}.attn.qkv.{parameter}"] = torch.cat([tensors[name] for name in parts])
    return joined
