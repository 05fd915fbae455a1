"""ResUNet: a U-Net of pre-activation residual blocks.

Zhang, Liu and Wang, "Road Extraction by Deep Residual U-Net", IEEE Geoscience and Remote Sensing Letters
2018, arXiv 1711.10684. Written from the paper and from measurements of the network that
rishikksh20/ResUnet released, which this one equals.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from dermseg.layers.checks import check_whole
from dermseg.layers.convolution import PreActivationBlock, convolution, convolution_norm_relu
from dermseg.models.base import Preprocessing, SegmentationModel
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.release import Release, Table

LEVELS = 4
NAMES: Table = (
    (r"\.body\.", ".conv_block."),
    (r"\.shortcut\.", ".conv_skip."),
    (r"^stem\.conv_block\.", "input_layer."),
    (r"^stem\.conv_skip\.", "input_skip.0."),
    (r"^encoder\.0\.", "residual_conv_1."),
    (r"^encoder\.1\.", "residual_conv_2."),
    (r"^encoder\.2\.", "bridge."),
    *(
        pair
        for i in range(LEVELS - 1)
        for pair in (
            (rf"^decoder\.{i}\.up\.", f"upsample_{i + 1}.upsample."),
            (rf"^decoder\.{i}\.block\.", f"up_residual_conv{i + 1}."),
        )
    ),
    (r"^head\.", "output_layer.0."),
)


class Stem(nn.Module):
    """First block: two 3x3 convolutions with BatchNorm and ReLU between them, plus one beside them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*convolution_norm_relu(3, width), convolution(width, width))
        self.shortcut = convolution(3, width)

    def forward(self, images: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, width, H, W)."""
        added: Tensor = self.body(images) + self.shortcut(images)
        return added


class DecoderStage(nn.Module):
    """Transposed convolution that doubles height and width, concatenation `[up, skip]`, residual block."""

    def __init__(self, given: int, made: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(given, given, 2, stride=2)
        self.block = PreActivationBlock(given + made, made, stride=1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map (B, given, H, W) and a skip (B, made, 2H, 2W) to (B, made, 2H, 2W)."""
        decoded: Tensor = self.block(torch.cat([self.up(x), skip], dim=1))
        return decoded


@register_model(
    "res_unet",
    ModelInfo(
        title="ResUNet",
        year=2018,
        family="CNN",
        paper="https://arxiv.org/abs/1711.10684",
        code="rishikksh20/ResUnet",
        licence="none stated",
        parameters=13_043_009,
    ),
)
class ResUNet(SegmentationModel):
    """Deep Residual U-Net: pre-activation residual blocks, halved by strided convolutions, no pooling.

    Stages: a stem at full size (64 channels), residual blocks of stride 2 to 1/2, 1/4 and, as bridge, 1/8
    (128 to 512 channels); three times a transposed convolution that keeps the channels, concatenation
    `[up, skip]` and a residual block of stride 1; a 1x1 convolution to one logit per pixel.

    Departures: the release learns its enlargements and normalises its shortcuts, which are 3x3
    convolutions. Its sigmoid is left to the user here, as everywhere in this package. No part is dead. The
    comparison's paper cites ResUNet-a in its text, another and larger network of parallel dilated branches.

    Args:
        width: Channels at full size; doubled at every halving.

    Raises:
        ConfigError: If the width is less than 1.
    """

    stride = 2 ** (LEVELS - 1)
    release = Release(NAMES)

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        check_whole("width", width)
        widths = [width * 2**level for level in range(LEVELS)]
        # The authors scale images to 0..1 and go no further.
        self.preprocessing = Preprocessing(size=224, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        self.stem = Stem(width)
        self.encoder = nn.ModuleList(PreActivationBlock(fine, coarse, 2) for fine, coarse in pairwise(widths))
        self.decoder = nn.ModuleList(DecoderStage(coarse, fine) for coarse, fine in pairwise(widths[::-1]))
        self.head = convolution(width, 1, kernel=1)

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of 8, to logits (B, 1, H, W)."""
        maps = [self.stem(images)]
        for block in self.encoder:
            maps.append(block(maps[-1]))
        x = maps.pop()
        for stage in self.decoder:
            x = stage(x, maps.pop())
        logits: Tensor = self.head(x)
        return logits
