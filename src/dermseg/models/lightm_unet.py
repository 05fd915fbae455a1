"""LightM-UNet: a U-Net of few convolutions, whose encoder mixes pixels by Mamba layers alone.

Liao et al., "LightM-UNet: Mamba Assists in Lightweight UNet for Medical Image Segmentation", arXiv
2403.05246. Written from the paper and from measurements of the released network, which this one equals.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.layers.checks import check_whole, check_wholes
from dermseg.layers.mamba import Mamba
from dermseg.layers.two_class import lesion_logits
from dermseg.models.base import SegmentationModel
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.release import MAMBA_NAMES, Release

STAGES = 4
GROUPS = 8
"""Groups of every group norm."""


class ResidualMamba(nn.Module):
    """Residual vision Mamba (RVM) layer: one Mamba layer over all pixels, row by row.

    Args:
        width: Channels of the input.
        out: Channels of the result.
    """

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mamba = Mamba(width)
        self.skip_scale = nn.Parameter(torch.ones(1))
        self.proj = nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to (B, out, H, W)."""
        tokens = x.flatten(2).transpose(1, 2)
        mixed = self.mamba(self.norm(tokens)) + self.skip_scale * tokens
        projected: Tensor = self.proj(self.norm(mixed))  # the same norm again, as released
        return projected.transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:])


class EncoderBlock(nn.Module):
    """Twice group norm, ReLU and an RVM layer; the input is added.

    Args:
        width: Channels, a multiple of 8.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = _norm(width)
        self.mix1 = ResidualMamba(width, width)
        self.norm2 = _norm(width)
        self.mix2 = ResidualMamba(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        y = self.mix1(F.relu(self.norm1(x)))
        z: Tensor = self.mix2(F.relu(self.norm2(y)))
        return x + z


class DecoderBlock(nn.Module):
    """Group norm, ReLU and a separable 3x3 convolution; the input, scaled, is added; group norm, ReLU.

    Args:
        width: Channels, a multiple of 8.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = _norm(width)
        self.separable = _separable(width, width)
        self.skip_scale = nn.Parameter(torch.ones(1))
        self.norm2 = _norm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        mixed = self.separable(F.relu(self.norm1(x))) + self.skip_scale * x
        return F.relu(self.norm2(mixed))


@register_model(
    "lightm_unet",
    ModelInfo(
        title="LightM-UNet",
        year=2024,
        family="Mamba",
        paper="https://arxiv.org/abs/2403.05246",
        code="MrBlankness/LightM-UNet",
        licence="Apache-2.0",
        parameters=5_011_765,
    ),
)
class LightMUNet(SegmentationModel):
    """LightM-UNet as released, for two dimensions: Mamba layers down, separable convolutions up.

    A separable convolution opens the network at full size. Three times a residual vision Mamba layer doubles
    the channels and 2x2 max-pooling halves the map; blocks of two such layers follow. On the way up, a 1x1
    convolution halves the channels, the map is doubled bilinearly, the skip is added and a block of one
    separable convolution follows. The finest scans run over every pixel of the image. The head has one output
    for skin and one for lesion; the logit is their difference, whose sigmoid is the softmax of lesion.

    Departures: the paper prints 1 million parameters; the released trainer's 32 channels at full size make 5
    million. The release has a form for images and one for volumes; this is the former.

    Args:
        width: Channels at full size, a multiple of 8; doubled at every halving.
        depths: Blocks of the four encoder stages.

    Raises:
        ConfigError: If a value is impossible.
    """

    stride = 2 ** (STAGES - 1)
    release = Release(
        (
            (r"^stem\.(\d)\.", r"convInit.\1.conv."),
            (r"^encoder\.", "down_layers."),
            (r"\.mix(\d)\.", r".conv\1."),
            *MAMBA_NAMES,
            (r"^narrow\.(\d)\.", r"up_samples.\1.0.conv."),
            (r"^decoder\.(\d)\.", r"up_layers.\1.0."),
            (r"\.separable\.(\d)\.", r".conv.\1.conv."),
            (r"^head\.0\.", "conv_final.0."),
            (r"^head\.2\.(\d)\.", r"conv_final.2.\1.conv."),
        )
    )

    def __init__(self, width: int = 32, depths: Sequence[int] = (1, 2, 2, 4)) -> None:
        super().__init__()
        check_whole("width", width, multiple=GROUPS)
        check_wholes("depths", depths, STAGES)
        widths = [width * 2**stage for stage in range(STAGES)]
        halvings = [nn.Identity(), *(_halving(*step) for step in pairwise(widths))]
        self.stem = _separable(3, width)
        self.encoder = nn.ModuleList(
            nn.Sequential(halving, *(EncoderBlock(level) for _ in range(depth)))
            for halving, level, depth in zip(halvings, widths, depths, strict=True)
        )
        steps = list(pairwise(reversed(widths)))
        self.narrow = nn.ModuleList(nn.Conv2d(coarse, fine, 1, bias=False) for coarse, fine in steps)
        self.decoder = nn.ModuleList(DecoderBlock(fine) for _, fine in steps)
        self.head = nn.Sequential(_norm(width), nn.ReLU(), _separable(width, 2, kernel=1, bias=True))

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of 8, to logits (B, 1, H, W)."""
        x, skips = self.stem(images), []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        for narrow, block, skip in zip(self.narrow, self.decoder, skips[-2::-1], strict=True):
            doubled = F.interpolate(narrow(x), scale_factor=2, mode="bilinear", align_corners=False)
            x = block(doubled + skip)
        return lesion_logits(self.head(x))


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(GROUPS, width)


def _halving(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(ResidualMamba(width, out), nn.MaxPool2d(2))


def _separable(width: int, out: int, kernel: int = 3, bias: bool = False) -> nn.Sequential:
    """Build a convolution per channel, then one per pixel."""
    return nn.Sequential(
        nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width, bias=bias),
        nn.Conv2d(width, out, 1, bias=bias),
    )
