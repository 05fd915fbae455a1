"""What a network has to know about the release it equals: how the authors named its parameters."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

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
