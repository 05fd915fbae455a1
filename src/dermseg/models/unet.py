"""U-Net with same padding and BatchNorm, and the five-level skeleton that three of its relatives share.

Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI
2015, arXiv 1505.04597. Written from the paper and from measurements of the network that
LeeJunHyun/Image_Segmentation released, which this one equals.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.layers.checks import check_whole
from dermseg.layers.convolution import AttentionGate, UpConvolution, convolution, double_convolution
from dermseg.models.base import Preprocessing, SegmentationModel
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.release import Release, Table

LEVELS = 5
REPOSITORY = "LeeJunHyun/Image_Segmentation"
LICENCE = "none stated"


def skeleton_names(encoder: str, decoder: str) -> Table:
    """Names of the skeleton's parameters in the release, whose levels count from 1, the finest.

    Args:
        encoder: Released name of the encoder's blocks, without level; `"{}"` stands for it.
        decoder: Released name of the decoder's blocks, likewise.
    """
    encoders = ((rf"^encoder\.{i}\.", encoder.format(i + 1)) for i in range(LEVELS))
    decoders = (
        pair
        for i in range(LEVELS - 1)
        for pair in (
            (rf"^decoder\.{i}\.up\.", f"Up{LEVELS - i}.up."),
            (rf"^decoder\.{i}\.gate\.", f"Att{LEVELS - i}."),
            (rf"^decoder\.{i}\.block\.", decoder.format(LEVELS - i)),
        )
    )
    return (*encoders, *decoders, (r"^head\.", "Conv_1x1."))


class DecoderStage(nn.Module):
    """Enlarges the coarser map, joins it to the skip, which may be gated by it, and applies a block.

    Args:
        given: Channels of the coarser map.
        made: Channels of the skip and of the result.
        block: Makes a block of so many channels in and out.
        gated: Whether an attention gate weighs the skip.
    """

    def __init__(self, given: int, made: int, block: Callable[[int, int], nn.Module], gated: bool) -> None:
        super().__init__()
        self.up = UpConvolution(given, made)
        self.gate = AttentionGate(made) if gated else None
        self.block = block(2 * made, made)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map (B, given, H, W) and a skip (B, made, 2H, 2W) to (B, made, 2H, 2W)."""
        x = self.up(x)
        if self.gate is not None:
            skip = self.gate(skip, x)
        decoded: Tensor = self.block(torch.cat([skip, x], dim=1))
        return decoded


class FiveLevelUNet(SegmentationModel):
    """Five levels with one block each, 2x2 max pools between them, and a decoder stage for each skip.

    Args:
        width: Channels of the finest level; each coarser one has twice as many.
        block: Makes a block of so many channels in and out.
        gated: Whether attention gates weigh the skips.
    """

    stride = 2 ** (LEVELS - 1)

    def __init__(self, width: int, block: Callable[[int, int], nn.Module], gated: bool) -> None:
        super().__init__()
        check_whole("width", width, least=2)  # the finest gate halves it
        widths = [width * 2**level for level in range(LEVELS)]
        self.preprocessing = Preprocessing(size=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        self.encoder = nn.ModuleList(block(given, made) for given, made in pairwise([3, *widths]))
        self.decoder = nn.ModuleList(
            DecoderStage(coarse, fine, block, gated) for coarse, fine in pairwise(widths[::-1])
        )
        self.head = convolution(width, 1, kernel=1)

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of 16, to logits (B, 1, H, W)."""
        finest, *coarser = self.encoder
        maps = [finest(images)]
        for block in coarser:
            maps.append(block(F.max_pool2d(maps[-1], 2)))
        x = maps.pop()
        for stage in self.decoder:
            x = stage(x, maps.pop())
        logits: Tensor = self.head(x)
        return logits


@register_model(
    "unet",
    ModelInfo(
        title="U-Net",
        year=2015,
        family="CNN",
        paper="https://arxiv.org/abs/1505.04597",
        code=REPOSITORY,
        licence=LICENCE,
        parameters=34_527_041,
    ),
)
class UNet(FiveLevelUNet):
    """U-Net: an encoder and a decoder of double convolutions, joined by a skip at each of four levels.

    Stages: double 3x3 convolutions with BatchNorm and ReLU at 1, 1/2, 1/4, 1/8 and 1/16 of the image's
    size (64 to 1024 channels); on the way back nearest-neighbour enlargement with a 3x3 convolution,
    concatenation `[skip, up]` and a double convolution; a 1x1 convolution to one logit per pixel.

    Departures: the release pads its convolutions, so that maps keep their size and skips are not cropped;
    adds BatchNorm; and enlarges by nearest neighbours and a 3x3 convolution instead of a 2x2 transposed
    one. No part is dead.

    Args:
        width: Channels at full size; doubled at every halving.

    Raises:
        ConfigError: If the width is less than 2.
    """

    release = Release(skeleton_names(encoder="Conv{}.conv.", decoder="Up_conv{}.conv."))

    def __init__(self, width: int = 64) -> None:
        super().__init__(width, double_convolution, gated=False)
