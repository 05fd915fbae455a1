"""Swin-Unet: a U-Net of Swin Transformer blocks, without convolutions between them.

Cao et al., "Swin-Unet: Unet-like Pure Transformer for Medical Image Segmentation", ECCV Workshops 2022,
arXiv 2105.05537. Written from the paper and from measurements of the released network.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from dermseg.errors import ConfigError
from dermseg.layers.checks import check_flag, check_rate, check_whole, check_wholes
from dermseg.layers.patch import PatchEmbed, PatchExpand, PatchMerging
from dermseg.layers.window_attention import SwinBlock
from dermseg.models.base import Preprocessing, SegmentationModel
from dermseg.models.imagenet import copy_weights, timm_weights
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.release import Release, Table
from dermseg.models.vm_unet import PATCH, STAGES, drop_path_rates, init_linear, stage_widths

IMAGENET = "swin_tiny_patch4_window7_224.ms_in1k"
RELEASED = ModelInfo(
    title="Swin-Unet",
    year=2021,
    family="Transformer",
    paper="https://arxiv.org/abs/2105.05537",
    code="HuCaoFighting/Swin-Unet",
    licence="none stated; its config.py: MIT (Microsoft)",
    parameters=27_168_132,
)

_SHARED_NAMES: Table = (
    (r"^norm\.", "norm_up."),
    (r"\.attention_norm\.", ".norm1."),
    (r"\.mlp_norm\.", ".norm2."),
    (r"\.attention\.projection\.", ".attn.proj."),
    (r"\.attention\.bias_table$", ".attn.relative_position_bias_table"),
    (r"\.attention\.", ".attn."),
    (r"\.mlp\.0\.", ".mlp.fc1."),
    (r"\.mlp\.2\.", ".mlp.fc2."),
    (r"^encoder\.patch_embed\.projection\.", "patch_embed.proj."),
    (r"^encoder\.stages\.(\d)\.(\d+)\.", r"layers.\1.blocks.\2."),
    (r"^encoder\.(patch_embed|norm)\.", r"\1."),
)
NAMES: Table = (
    *_SHARED_NAMES,
    (r"^encoder\.merges\.(\d)\.", r"layers.\1.downsample."),
    (r"^decoder\.0\.expand\.", "layers_up.0."),
    (r"^decoder\.(\d)\.expand\.", r"layers_up.\1.upsample."),
    *((rf"^decoder\.{i}\.blocks\.", f"layers_up.{i + 1}.blocks.") for i in range(STAGES - 1)),
    *((rf"^decoder\.{i}\.join\.", f"concat_back_dim.{i + 1}.") for i in range(STAGES - 1)),
    (r"^final\.", "up."),
    (r"^head\.", "output."),
    (r"^", "swin_unet."),
)
"""From our parameter names to the released ones."""
IMAGENET_NAMES: Table = (
    *_SHARED_NAMES,
    *((rf"^encoder\.merges\.{i}\.", f"layers.{i + 1}.downsample.") for i in range(STAGES - 1)),
    *((rf"^decoder\.{i}\.blocks\.", f"layers.{STAGES - 2 - i}.blocks.") for i in range(STAGES - 1)),
)
"""From our parameter names to timm's; a decoder block shares the weights of the encoder's of equal size."""


class SwinEncoder(nn.Module):
    """Patch embedding, four stages of Swin blocks with patch merging between them, and a LayerNorm.

    Args:
        widths: Channels of the stages, fine to coarse.
        blocks: The blocks of each stage.
    """

    def __init__(self, widths: Sequence[int], blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(widths[0], PATCH)
        self.stages = nn.ModuleList(blocks)
        self.merges = nn.ModuleList(PatchMerging(finer) for finer in widths[:-1])
        self.norm = nn.LayerNorm(widths[-1])

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Map images (B, 3, H, W) to the inputs of stages 1 to 3 and the normalised output of stage 4."""
        *finer, coarsest = self.stages
        inputs = []
        x = self.patch_embed(images)
        for stage, merge in zip(finer, self.merges, strict=True):
            inputs.append(x)
            x = merge(stage(x))
        return inputs, self.norm(coarsest(x))


class SwinDecoderStage(nn.Module):
    """Patch expansion, a linear map that joins the skip, then Swin blocks."""

    def __init__(self, width: int, blocks: nn.Module) -> None:
        super().__init__()
        self.expand = PatchExpand(2 * width, width)
        self.join = nn.Linear(2 * width, width)
        self.blocks = blocks

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map (B, H, W, 2 width) and a skip (B, 2H, 2W, width) to the shape of the skip."""
        decoded: Tensor = self.blocks(self.join(torch.cat([self.expand(x), skip], dim=-1)))
        return decoded


@register_model("swin_unet_256", replace(RELEASED, parameters=27_175_524), size=256, window=8)
@register_model("swin_unet", RELEASED)
class SwinUNet(SegmentationModel):
    """Swin-Unet as released: four encoder stages at 1/4 to 1/32, three decoder stages, x4 patch expansion.

    A decoder stage expands its input, joins it with the skip by concatenation [expanded, skip] and a linear
    map, and has as many blocks, with the same drop-path rates, as the encoder stage of its resolution. Every
    other block shifts its windows by half a window.

    Departures: the skips are the inputs of encoder stages 1 to 3 (the patch embedding, and merged maps before
    any block), not their outputs. The decoder is as deep as the encoder; the shallower one that the released
    configuration names is never built. The release accepts images of one size only, whose maps the windows
    must divide, 224 pixels for windows of 7 and 256 for windows of 8; here, images of any size work, and at
    these two the network is the released one.

    Args:
        size: Side of the square that images are resized to.
        window: Side of a window of attention, in tokens.
        width: Channels at 1/4 of the image's size; doubled at every further halving.
        depths: Blocks per encoder stage, fine to coarse.
        head_width: Channels of an attention head; must divide `width`.
        drop_path: Drop-path rate of the last encoder block; the rates grow linearly from 0.
        pretrained: Download ImageNet weights for the encoder and, as the release does, the decoder's blocks.
            They fit the default sizes; with another window, the biases of attention are left out.

    Raises:
        ConfigError: If a value is impossible, or the ImageNet weights cannot be downloaded or do not fit.
    """

    release = Release(NAMES, dead=r".*\.(attn_mask|relative_position_index)")
    # Whether a map is shifted or filled up depends on its size. An export that leaves the size free keeps
    # what held for the image it was recorded with, and is wrong for others without a word.
    exports_any_size = False

    def __init__(
        self,
        size: int = 224,
        window: int = 7,
        width: int = 96,
        depths: Sequence[int] = (2, 2, 2, 2),
        head_width: int = 32,
        drop_path: float = 0.2,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        _check_sizes(window, width, depths, head_width, drop_path)
        check_flag("pretrained", pretrained)
        self.preprocessing = Preprocessing(size)
        widths = stage_widths(width)
        rates = drop_path_rates(drop_path, depths)

        def blocks(stage: int) -> nn.Sequential:
            before = sum(depths[:stage])
            return nn.Sequential(
                *(
                    SwinBlock(
                        widths[stage],
                        heads=widths[stage] // head_width,
                        window=window,
                        shift=window // 2 if number % 2 else 0,
                        drop_path=rates[before + number],
                    )
                    for number in range(depths[stage])
                )
            )

        self.encoder = SwinEncoder(widths, [blocks(stage) for stage in range(STAGES)])
        self.decoder = nn.ModuleList(
            SwinDecoderStage(widths[stage], blocks(stage)) for stage in reversed(range(STAGES - 1))
        )
        self.norm = nn.LayerNorm(width)
        self.final = PatchExpand(width, width, PATCH)
        self.head = nn.Conv2d(width, 1, 1, bias=False)
        self.apply(init_linear)
        if pretrained:
            copy_weights(self, timm_weights(IMAGENET), IMAGENET_NAMES, optional=r".*\.bias_table")

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of 32, to logits (B, 1, H, W)."""
        skips, x = self.encoder(images)
        for stage, skip in zip(self.decoder, reversed(skips), strict=True):
            x = stage(x, skip)
        logits: Tensor = self.head(self.final(self.norm(x)).permute(0, 3, 1, 2))
        return logits


def _check_sizes(window: int, width: int, depths: Sequence[int], head_width: int, drop_path: float) -> None:
    check_whole("window", window)
    check_whole("head_width", head_width)
    check_whole("width", width)
    if width % head_width:
        raise ConfigError(f"width must be a multiple of head_width, got {width} and {head_width}")
    check_wholes("depths", depths, STAGES)
    check_rate("drop_path", drop_path)
