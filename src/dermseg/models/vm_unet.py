"""VM-UNet: a U-Net whose every block is a visual state space block (paper sections 3.1-3.3, Eqs 1-5).

Ruan and Xiang, "VM-UNet: Vision Mamba UNet for Medical Image Segmentation", arXiv 2402.02491. Written from
the paper and from measurements of the released network, which this one equals in its default form.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dermseg.layers.checks import check_rate, check_whole, check_wholes
from dermseg.layers.half_stage import HalfStage
from dermseg.layers.patch import PatchEmbed, PatchExpand, PatchMerging
from dermseg.layers.vss import VSSBlock
from dermseg.models.base import SegmentationModel
from dermseg.models.registry import ModelInfo, register_model

STAGES = 4
PATCH = 4
RELEASED = ModelInfo(
    title="VM-UNet",
    year=2024,
    family="Mamba",
    paper="https://arxiv.org/abs/2402.02491",
    code="JCruan519/VM-UNet",
    licence="Apache-2.0",
    parameters=27_427_561,
)


class EncoderMaps(NamedTuple):
    """Maps of the four encoder stages, fine to coarse: 1/4, 1/8, 1/16, 1/32 of the image, channels last."""

    inputs: list[Tensor]
    """What each stage received: the patch embedding, then the merged map of the stage before."""
    outputs: list[Tensor]
    """What the blocks of each stage built made, before merging."""
    half: Tensor | None = None
    """A map at 1/2 of the image, where the encoder has one and was asked for it."""


class VSSEncoder(nn.Module):
    """Patch embedding and four stages of VSS blocks, with patch merging between stages.

    Args:
        width: Channels of the first stage; each next stage has twice as many.
        depths: VSS blocks of each stage.
        drop_path: Drop-path rate of the last block; the rates grow linearly from 0.
        state: Size N of the scan's state.
        built: Stages whose blocks are built, from the first; the rates are still those of all stages.
        patch: Side of a patch of the embedding.
        channels: Channels of the image, or of the map that stands in for it.
    """

    def __init__(
        self,
        width: int,
        depths: Sequence[int],
        drop_path: float,
        state: int,
        *,
        built: int = STAGES,
        patch: int = PATCH,
        channels: int = 3,
    ) -> None:
        super().__init__()
        self.widths = stage_widths(width)
        self.patch_embed = PatchEmbed(width, patch, channels)
        rates = drop_path_rates(drop_path, depths)
        self.stages = nn.ModuleList(vss_stages(self.widths[:built], depths[:built], rates, state))
        self.merges = nn.ModuleList(PatchMerging(finer) for finer in self.widths[:-1])

    def forward(self, images: Tensor) -> EncoderMaps:
        """Map images (B, 3, H, W) to the maps of every stage."""
        maps = EncoderMaps([self.patch_embed(images)], [])
        for level, stage in enumerate(self.stages):
            maps.outputs.append(stage(maps.inputs[-1]))
            if level < len(self.merges):
                maps.inputs.append(self.merges[level](maps.outputs[-1]))
        return maps


class DecoderStage(nn.Module):
    """Patch expansion, except in the coarsest stage, then VSS blocks."""

    def __init__(self, expand: nn.Module, blocks: nn.Module) -> None:
        super().__init__()
        self.expand = expand
        self.blocks = blocks

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """Map (B, H, W, C) to (B, 2H, 2W, C/2); `skip`, of the latter shape, is added before the blocks."""
        x = self.expand(x)
        decoded: Tensor = self.blocks(x if skip is None else x + skip)
        return decoded


class VSSDecoder(nn.Module):
    """The mirror image of the encoder, then x4 expansion and a 1x1 convolution to one logit per pixel.

    Args:
        width: Channels of the finest stage.
        depths: VSS blocks of each stage, coarse to fine.
        drop_path: Drop-path rate of the first block; the rates fall linearly to 0.
        state: Size N of the scan's state.
        half_width: Channels of a further stage at 1/2 of the image, behind which x2 expansion remains; 0 for
            none.
    """

    def __init__(
        self, width: int, depths: Sequence[int], drop_path: float, state: int, half_width: int = 0
    ) -> None:
        super().__init__()
        widths = stage_widths(width)[::-1]
        blocks = vss_stages(widths, depths, drop_path_rates(drop_path, depths)[::-1], state)
        expansions = [nn.Identity(), *(PatchExpand(coarse, fine) for coarse, fine in pairwise(widths))]
        self.stages = nn.ModuleList(map(DecoderStage, expansions, blocks))
        self.half_stage = HalfStage(width, half_width) if half_width else None
        width, scale = (half_width, PATCH // 2) if half_width else (width, PATCH)
        self.final = PatchExpand(width, width // scale, scale)
        self.head = nn.Conv2d(width // scale, 1, 1)

    def logits(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """Map the finest decoded map (B, H/4, W/4, width) to logits (B, 1, H, W).

        `skip` (B, H/2, W/2, half_width) is the encoder's map for the stage at 1/2, where there is one.
        """
        if self.half_stage is not None:
            x = self.half_stage(x, skip)
        predicted: Tensor = self.head(self.final(x).permute(0, 3, 1, 2))
        return predicted


@register_model(
    "vm_unet_d2292",
    replace(RELEASED, parameters=44_273_833),
    depths=(2, 2, 9, 2),
    depths_decoder=(2, 9, 2, 2),
)
@register_model("vm_unet", RELEASED)
class VMUNet(SegmentationModel):
    """VM-UNet as released: the skips are the inputs of stages 2 to 4, added before the decoder expands.

    The fourth map the encoder could hand over, the bare patch embedding, is unused, as in the release.

    Departures: the release stretches the values of each image to 0..255, from its lowest to its highest; here
    images are standardised as for ImageNet, so released weights want images prepared as released.

    Args:
        width: Channels at 1/4 of the image's size; doubled at every further halving. A multiple
            of 4, at least 8.
        depths: VSS blocks per encoder stage, fine to coarse.
        depths_decoder: VSS blocks per decoder stage, coarse to fine.
        drop_path: Largest drop-path rate.
        state: Size N of the scan's state.

    Raises:
        ConfigError: If a value is impossible.
    """

    def __init__(
        self,
        width: int = 96,
        depths: Sequence[int] = (2, 2, 2, 2),
        depths_decoder: Sequence[int] = (2, 2, 2, 1),
        drop_path: float = 0.2,
        state: int = 16,
    ) -> None:
        super().__init__()
        check_sizes(width, depths, depths_decoder, drop_path, state)
        self.encoder = VSSEncoder(width, depths, drop_path, state)
        self.decoder = VSSDecoder(width, depths_decoder, drop_path, state)
        self.apply(init_linear)

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of 32, to logits (B, 1, H, W)."""
        return decode_as_released(self.decoder, self.encoder(images))


def decode_as_released(decoder: VSSDecoder, maps: EncoderMaps) -> Tensor:
    """Decode with the skips of the released VM-UNet: stage inputs, added before each expansion."""
    first, *others = decoder.stages
    x = first(maps.outputs[-1])
    for stage, skip in zip(others, maps.inputs[:0:-1], strict=True):
        x = stage(x + skip)
    return decoder.logits(x)


def stage_widths(width: int) -> list[int]:
    """Channels of the four stages, fine to coarse."""
    return [width * 2**stage for stage in range(STAGES)]


def check_sizes(
    width: int, depths: Sequence[int], depths_decoder: Sequence[int], drop_path: float, state: int
) -> None:
    """Refuse impossible sizes of a VM-UNet.

    Raises:
        ConfigError: At the first impossible value, which it names.
    """
    # The last expansion normalises over width / PATCH channels.
    check_whole("width", width, least=2 * PATCH, multiple=PATCH)
    check_whole("state", state)
    check_rate("drop_path", drop_path)
    check_wholes("depths", depths, STAGES)
    check_wholes("depths_decoder", depths_decoder, STAGES)


def init_linear(module: nn.Module) -> None:
    """Draw the weight of a linear layer from a normal distribution cut at two units, std 0.02; bias 0."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def drop_path_rates(highest: float, depths: Sequence[int]) -> list[float]:
    """Rates of all blocks of all stages: growing linearly from 0 to the highest."""
    return [float(rate) for rate in torch.linspace(0, highest, sum(depths), device="cpu")]


def vss_stages(
    widths: Sequence[int], depths: Sequence[int], rates: Sequence[float], state: int
) -> list[nn.Sequential]:
    """Build stages of VSS blocks, which take their drop-path rates from the list in turn."""
    remaining = iter(rates)
    return [
        nn.Sequential(*(VSSBlock(width, next(remaining), state) for _ in range(depth)))
        for width, depth in zip(widths, depths, strict=True)
    ]
