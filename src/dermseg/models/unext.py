"""UNeXt: a small U-Net whose two coarsest levels are shifted MLPs.

Valanarasu and Patel, "UNeXt: MLP-based Rapid Medical Image Segmentation Network", MICCAI 2022,
arXiv 2203.04967. Written from the paper and from measurements of the released network.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.layers.checks import check_wholes
from dermseg.layers.convolution import init_fan_out
from dermseg.layers.shifted_mlp import ShiftedMLPBlock, at_every_pixel
from dermseg.models.base import SegmentationModel
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.release import Release, Table

CONVOLUTIONS = 3
TOKENS = 2
RELEASED = ModelInfo(
    title="UNeXt",
    year=2022,
    family="MLP",
    paper="https://arxiv.org/abs/2203.04967",
    code="jeya-maria-jose/UNeXt-pytorch",
    licence="MIT",
    parameters=1_471_921,
)

_BLOCK_NAMES: Table = (
    (r"\.block\.norm\.", ".block.norm2."),
    (r"\.mlp\.first\.", ".mlp.fc1."),
    (r"\.mlp\.depthwise\.", ".mlp.dwconv.dwconv."),
    (r"\.mlp\.second\.", ".mlp.fc2."),
)


def _encoder_names(level: int) -> Table:
    stage = rf"^encoder\.{level - 1}\."
    if level <= CONVOLUTIONS:
        return (
            (rf"{stage}convolution\.", f"encoder{level}."),
            (rf"{stage}norm\.", f"ebn{level}."),
        )
    return (
        (rf"{stage}embed\.", f"patch_embed{level - 1}.proj."),
        (rf"{stage}embed_norm\.", f"patch_embed{level - 1}.norm."),
        (rf"{stage}block\.", f"block{level - CONVOLUTIONS}.0."),
        (rf"{stage}norm\.", f"norm{level - 1}."),
    )


def _decoder_names(step: int) -> Table:
    stage = rf"^decoder\.{step - 1}\."
    return (
        (rf"{stage}convolution\.", f"decoder{step}."),
        (rf"{stage}norm\.", f"dbn{step}."),
        (rf"{stage}block\.", f"dblock{step}.0."),
        (rf"{stage}block_norm\.", f"dnorm{step + 2}."),
    )


NAMES: Table = (
    *_BLOCK_NAMES,
    *(pair for level in range(1, CONVOLUTIONS + TOKENS + 1) for pair in _encoder_names(level)),
    *(pair for step in range(1, CONVOLUTIONS + TOKENS + 1) for pair in _decoder_names(step)),
    (r"^head\.", "final."),
)
"""From our parameter names to the released ones, which number each kind of layer by itself."""


class ConvolutionStage(nn.Module):
    """3x3 convolution, BatchNorm, 2x2 max pool, ReLU: halves the resolution."""

    def __init__(self, given: int, made: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(given, made, 3, padding=1)
        self.norm = nn.BatchNorm2d(made)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, given, H, W) to (B, made, H/2, W/2)."""
        return F.relu(F.max_pool2d(self.norm(self.convolution(x)), 2))


class TokenStage(nn.Module):
    """Overlapping patches (3x3 convolution of stride 2, LayerNorm), a shifted MLP block, LayerNorm."""

    def __init__(self, given: int, made: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(given, made, 3, stride=2, padding=1)
        self.embed_norm = nn.LayerNorm(made)
        self.block = ShiftedMLPBlock(made)
        self.norm = nn.LayerNorm(made)
        init_fan_out(self.embed)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, given, H, W) to (B, made, H/2, W/2)."""
        return at_every_pixel(self.norm, self.block(at_every_pixel(self.embed_norm, self.embed(x))))


class DecoderStage(nn.Module):
    """3x3 convolution, normalisation, bilinear x2, ReLU, then the skip is added.

    Args:
        given: Channels of the coarser map.
        made: Channels of the result and of the skip.
        tokens: Whether a shifted MLP block and a LayerNorm follow.
        normalised: Whether there is a BatchNorm.
    """

    def __init__(self, given: int, made: int, tokens: bool = False, normalised: bool = True) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(given, made, 3, padding=1)
        self.norm = nn.BatchNorm2d(made) if normalised else nn.Identity()
        self.block = ShiftedMLPBlock(made) if tokens else None
        self.block_norm = nn.LayerNorm(made) if tokens else None

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """Map (B, given, H, W), and a skip (B, made, 2H, 2W), to (B, made, 2H, 2W)."""
        x = F.relu(F.interpolate(self.norm(self.convolution(x)), scale_factor=2, mode="bilinear"))
        if skip is not None:
            x = x + skip
        if self.block is not None and self.block_norm is not None:
            x = at_every_pixel(self.block_norm, self.block(x))
        return x


@register_model(
    "unext_s", replace(RELEASED, title="UNeXt-S", parameters=253_561), widths=(8, 16, 32, 64, 128)
)
@register_model("unext", RELEASED)
class UNeXt(SegmentationModel):
    """UNeXt as released: three convolution stages, two of shifted MLPs, and a decoder that adds the skips.

    Encoder maps are at 1/2, 1/4, 1/8 (convolutions), 1/16 and 1/32 (tokens). Each decoder stage convolves,
    doubles the resolution and adds the encoder map of that size; at 1/16 and 1/8 a shifted MLP block follows.
    The last stage has neither BatchNorm nor skip.

    Departures: the shifted MLP moves its input along the height first and along the width second. The last
    of the five groups of channels is smaller where the width is no multiple of five. The released constructor
    also takes a number of heads, reduction ratios, an image size and deep supervision, none of which has an
    effect; they are left out here.

    Args:
        widths: Channels of the five encoder stages, fine to coarse.

    Raises:
        ConfigError: If a value is impossible.
    """

    release = Release(NAMES)

    def __init__(self, widths: Sequence[int] = (16, 32, 128, 160, 256)) -> None:
        super().__init__()
        check_wholes("widths", widths, CONVOLUTIONS + TOKENS)
        first, second, third, fourth, fifth = widths
        steps = list(pairwise((3, *widths)))
        self.encoder = nn.ModuleList(
            [
                *(ConvolutionStage(given, made) for given, made in steps[:CONVOLUTIONS]),
                *(TokenStage(given, made) for given, made in steps[CONVOLUTIONS:]),
            ]
        )
        self.decoder = nn.ModuleList(
            [
                DecoderStage(fifth, fourth, tokens=True),
                DecoderStage(fourth, third, tokens=True),
                DecoderStage(third, second),
                DecoderStage(second, first),
                DecoderStage(first, first, normalised=False),
            ]
        )
        self.head = nn.Conv2d(first, 1, 1)

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of 32, to logits (B, 1, H, W)."""
        x, skips = images, []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        for stage, skip in zip(self.decoder, (*skips[-2::-1], None), strict=True):
            x = stage(x, skip)
        logits: Tensor = self.head(x)
        return logits
