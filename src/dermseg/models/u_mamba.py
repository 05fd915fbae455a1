"""U-Mamba: nnU-Net's residual U-Net with a Mamba layer at its bottom, and the skeleton of its relatives.

Ma, Li and Wang, "U-Mamba: Enhancing Long-range Dependency for Biomedical Image Segmentation", arXiv
2401.04722. Written from the paper and from measurements of the released network `UMambaBot` in two
dimensions, which this one equals.
"""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.errors import CheckpointError
from dermseg.layers.checks import check_wholes
from dermseg.layers.convolution import convolution
from dermseg.layers.mamba import Mamba
from dermseg.layers.residual import init_he, residual_blocks
from dermseg.layers.two_class import lesion_logits
from dermseg.models.base import Outputs, SegmentationModel
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.release import MAMBA_NAMES, Release, Table

STAGES = 7
WIDTHS = (32, 64, 128, 256, 512, 512, 512)
DEPTHS = (2, 2, 2, 2, 1, 1, 1)
"""Residual blocks of each stage, fine to coarse."""
DEPTHS_DECODER = (2, 2, 2, 2, 1, 1)
"""Residual blocks of each decoder stage, coarse to fine."""
NAMES: Table = (
    (r"^(stem|stages)\.", r"encoder.\1."),
    (r"^decoder\.(\d)\.blocks\.", r"decoder.stages.\1."),
    (r"^decoder\.(\d)\.up\.", r"decoder.upsample_layers.\1.conv."),
    (r"^heads\.", "decoder.seg_layers."),
    (r"\.0\.first\.", ".0.conv1."),
    (r"\.0\.first_norm\.", ".0.norm1."),
    (r"\.0\.second\.", ".0.conv2."),
    (r"\.0\.second_norm\.", ".0.norm2."),
    (r"\.0\.shortcut\.", ".0.conv3."),
    (r"\.first\.", ".conv1.conv."),
    (r"\.first_norm\.", ".conv1.norm."),
    (r"\.second\.", ".conv2.conv."),
    (r"\.second_norm\.", ".conv2.norm."),
)
"""Of the skeleton; the first block of a stage is named otherwise than the others."""


def without_aliases(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keep one of the up to four names that the release gives to a tensor.

    Its decoder holds its encoder, and its blocks hold their layers twice. As in the release itself, where
    values differ the last one counts.

    Args:
        tensors: The released tensors, each under all of its names or each under its first one.

    Returns:
        The tensors by their first names.

    Raises:
        CheckpointError: If a tensor lacks one of its names while others have several, or has two shapes.
    """
    kept = {_first_name(key): value for key, value in tensors.items()}
    if kept.keys() == tensors.keys():
        return kept
    for first, value in kept.items():
        for name in _names(first):
            if name not in tensors:
                raise CheckpointError(
                    f"the released checkpoint does not fit the model: missing key {name}. Give all names of "
                    "every tensor, or the first name of each"
                )
            if tensors[name].shape != value.shape:
                raise CheckpointError(
                    f"the released checkpoint does not fit the model: wrong shape of {name} "
                    f"{tuple(tensors[name].shape)}; another name of the same tensor has {tuple(value.shape)}"
                )
    return kept


def _first_name(key: str) -> str:
    inner = key.removeprefix("decoder.") if key.startswith("decoder.encoder.") else key
    return inner.replace(".all_modules.0.", ".conv.").replace(".all_modules.1.", ".norm.")


def _names(first: str) -> list[str]:
    """All released names of a tensor, given the first."""
    second = re.sub(r"(\.conv\d)\.conv\.", r"\1.all_modules.0.", first)
    second = re.sub(r"(\.conv\d)\.norm\.", r"\1.all_modules.1.", second)
    names = [first] if second == first else [first, second]
    return names + [f"decoder.{name}" for name in names] if first.startswith("encoder.") else names


class DecoderStage(nn.Module):
    """Enlarges the coarser map, joins it to a skip if there is one, applies residual blocks.

    Args:
        given: Channels of the coarser map.
        made: Channels of the skip and of the result.
        depth: Residual blocks.
        joined: Whether there is a skip.
    """

    def __init__(self, given: int, made: int, depth: int, joined: bool) -> None:
        super().__init__()
        self.up = convolution(given, made, kernel=1)
        self.blocks = residual_blocks(2 * made if joined else made, made, depth)

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        """Map (B, given, H, W) and a skip (B, made, 2H, 2W) to (B, made, 2H, 2W)."""
        x = self.up(F.interpolate(x, scale_factor=2.0))
        decoded: Tensor = self.blocks(x if skip is None else torch.cat([x, skip], dim=1))
        return decoded


class ResidualUNet(SegmentationModel):
    """Seven stages of residual blocks, a layer for tokens at the bottom, six decoder stages with a head each.

    Args:
        widths: Channels of the stages, fine to coarse.
        bottleneck: Makes the layer for tokens (B, H W, C) of so many channels.
    """

    stride = 2 ** (STAGES - 1)

    def __init__(self, widths: Sequence[int], bottleneck: Callable[[int], nn.Module]) -> None:
        super().__init__()
        check_wholes("widths", widths, STAGES)
        entering = [widths[0], *widths]
        self.stem = residual_blocks(3, widths[0], DEPTHS[0])
        self.stages = nn.ModuleList(
            residual_blocks(given, made, depth, stride=2 if level else 1)
            for level, ((given, made), depth) in enumerate(zip(pairwise(entering), DEPTHS, strict=True))
        )
        self.bottleneck = bottleneck(widths[-1])
        last = STAGES - 2
        self.decoder = nn.ModuleList(
            DecoderStage(given, made, depth, joined=step < last)
            for step, ((given, made), depth) in enumerate(
                zip(pairwise(widths[::-1]), DEPTHS_DECODER, strict=True)
            )
        )
        self.heads = nn.ModuleList(convolution(made, 2, kernel=1) for made in widths[-2::-1])
        self.apply(init_he)

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of 64, to logits (B, 1, H, W)."""
        return lesion_logits(self.heads[-1](self._decoded(images)[-1]))

    def outputs_padded(self, images: Tensor) -> Outputs:
        """Map images likewise to the logits and those of the coarser heads, enlarged to the image's size."""
        decoded = self._decoded(images)
        *coarser, logits = (lesion_logits(head(x)) for head, x in zip(self.heads, decoded, strict=True))
        size = images.shape[2:]
        enlarged = (F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in coarser[::-1])
        return Outputs(logits, tuple(enlarged))

    def _decoded(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the decoder stages, coarse to fine."""
        x, skips = self.stem(images), []
        for stage in self.stages:
            x = stage(x)
            skips.append(x)
        skips.pop()
        batch, channels, height, width = x.shape
        tokens = self.bottleneck(x.flatten(2).transpose(1, 2))
        decoded = [tokens.transpose(1, 2).reshape(batch, channels, height, width)]
        for stage in self.decoder:
            skip = skips.pop()
            decoded.append(stage(decoded[-1], skip if skips else None))
        return decoded[1:]


class MambaBottleneck(nn.Module):
    """LayerNorm and a Mamba layer; what enters is not added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mamba = Mamba(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, L, width) to the same shape."""
        mixed: Tensor = self.mamba(self.norm(tokens))
        return mixed


@register_model(
    "u_mamba",
    ModelInfo(
        title="U-Mamba",
        year=2024,
        family="Mamba",
        paper="https://arxiv.org/abs/2401.04722",
        code="bowang-lab/U-Mamba",
        licence="Apache-2.0",
        parameters=47_515_532,
    ),
)
class UMamba(ResidualUNet):
    """U-Mamba in its form `Bot`: one Mamba layer between a residual encoder and its decoder.

    Stages: a stem and seven stages of residual blocks with InstanceNorm, at 1 to 1/64 of the image's size (32
    to 512 channels); the pixels of the coarsest map, row by row, through LayerNorm and Mamba; six times
    nearest-neighbour enlargement with a 1x1 convolution, concatenation `[up, skip]` and residual blocks. The
    skip at full size is not used. Each decoder stage has a head of two classes, and a logit here is the
    lesion's less the background's, whose sigmoid is their softmax. The five coarser heads are for training.

    Departures: the release derives its stages from the data set, as nnU-Net does; those here were chosen for
    256x256 images. It halves the blocks of the deeper stages of its plan, and adds no residual around
    the Mamba layer. It trains coarse heads against reduced masks; here their logits are enlarged bilinearly.
    It refuses images whose coarsest map is a single pixel. No part is dead.

    Args:
        widths: Channels of the seven stages, fine to coarse.

    Raises:
        ConfigError: If the widths are not seven numbers of at least 1.
    """

    release = Release(((r"^bottleneck\.", "mamba_layer."), *MAMBA_NAMES, *NAMES), convert=without_aliases)

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__(widths, MambaBottleneck)
