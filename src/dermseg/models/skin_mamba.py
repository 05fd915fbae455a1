"""SkinMamba: convolutions and scans at every level, and a filter in the frequency domain at the coarsest.

Zou et al., "SkinMamba: A Precision Skin Lesion Segmentation Architecture with Cross-Scale Global State
Modeling and Frequency Boundary Guidance", arXiv 2409.10890. Written from the paper and from measurements of
the released network, which this one equals.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.layers.checks import check_whole
from dermseg.layers.frequency import FrequencyBlock
from dermseg.layers.selective_kernel import SelectiveKernel
from dermseg.layers.ss2d import SS2D
from dermseg.models.base import Preprocessing, SegmentationModel
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.release import VSS_NAMES, Release

LEVELS = 5


class CrossScale(nn.Module):
    """Feed-forward layers with two windows: half of the channels see 3x3 neighbours, half 5x5.

    Args:
        width: Channels, an even number.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.norm = nn.LayerNorm(width)
        self.into = nn.ModuleList(nn.Linear(width, half) for _ in range(2))
        self.convs = nn.ModuleList(
            nn.Conv2d(half, half, kernel, padding=kernel // 2, groups=half) for kernel in (3, 5)
        )
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, width) to the same shape; the input is added to the result."""
        normed = self.norm(x)
        halves = [
            conv(into(normed).permute(0, 3, 1, 2)) for into, conv in zip(self.into, self.convs, strict=True)
        ]
        mixed: Tensor = self.out(F.gelu(torch.cat(halves, dim=1)).permute(0, 2, 3, 1))
        return x + mixed


class ScaleResidualBlock(nn.Module):
    """Scale residual state space block (SRSSB): a scan in four directions, then feed-forward layers.

    One norm serves both. The feed-forward layers add their own input, which is normalised, and the block adds
    its map as well, so that map counts twice.

    Args:
        width: Channels, an even number.
        state: Size N of the scan's state.
    """

    def __init__(self, width: int, state: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.ss2d = SS2D(width, state)
        self.feed_forward = CrossScale(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        x = x.permute(0, 2, 3, 1)
        x = x + self.ss2d(self.norm(x))
        x = x + self.feed_forward(self.norm(x))
        return x.permute(0, 3, 1, 2)


class EncoderStage(nn.Module):
    """SRSSB, then convolution, batch norm and ReLU to `out` channels: the skip; max-pooled for the next."""

    def __init__(self, width: int, out: int, state: int) -> None:
        super().__init__()
        self.block = ScaleResidualBlock(width, state)
        self.project = nn.Conv2d(width, out, 3, padding=1)
        self.norm = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to (B, out, H, W)."""
        return F.relu(self.norm(self.project(self.block(x))))


class DecoderStage(nn.Module):
    """Doubles the map, joins the skip, convolves to `out` channels; then batch norm, ReLU and SRSSB."""

    def __init__(self, width: int, out: int, state: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(2 * width, out, 3, padding=1)
        self.norm = nn.BatchNorm2d(out)
        self.block = ScaleResidualBlock(out, state)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map (B, width, H, W) and skip (B, width, 2H, 2W) to (B, out, 2H, 2W)."""
        joined = torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skip], dim=1)
        decoded: Tensor = self.block(F.relu(self.norm(self.project(joined))))
        return decoded


@register_model(
    "skin_mamba",
    ModelInfo(
        title="SkinMamba",
        year=2024,
        family="Mamba",
        paper="https://arxiv.org/abs/2409.10890",
        code="zs1314/SkinMamba",
        licence="Apache-2.0",
        parameters=14_083_201,
    ),
)
class SkinMamba(SegmentationModel):
    """SkinMamba as released: five levels of scan and convolution, a frequency filter between them.

    A 1x1 convolution and a selective-kernel convolution open the network at full size. Each encoder stage is
    a scale residual state space block (scan in four directions, then feed-forward layers with 3x3 and 5x5
    windows) and a convolution that doubles the channels; its output is the skip, then max-pooled. At 1/32
    the frequency block gates the map by a filter of its Fourier transform. Decoder stages enlarge to the
    nearest pixel, join the skip, convolve and scan. The finest scans run over every pixel of the image.

    Departures: nothing supervises boundaries, the frequency block guides them alone, and no path leads around
    it. A norm is shared inside each block, whose feed-forward layers add the normalised map once more. The
    release stretches the values of each image to 0..255, from its lowest to its highest; here images are
    standardised as for ImageNet, so released weights want images prepared as released. It trains on one
    image at a time, which a batch norm of maps pooled to one pixel has no statistics for: PyTorch raises an
    error; here such a batch is normalised by the running statistics.

    Args:
        width: Channels at full size; doubled at every level. An even number.
        state: Size N of the scan's state.

    Raises:
        ConfigError: If a value is impossible.
    """

    # The Fourier transform of ONNX Runtime wants sides that are known beforehand.
    exports_any_size = False

    release = Release(
        (
            (r"\.block\.norm\.", ".SRSSB.ln."),
            (r"\.block\.feed_forward\.norm\.", ".SRSSB.ffn.ln."),
            (r"\.block\.feed_forward\.into\.0\.", ".SRSSB.ffn.linear1."),
            (r"\.block\.feed_forward\.into\.1\.", ".SRSSB.ffn.linear2."),
            (r"\.block\.feed_forward\.out\.", ".SRSSB.ffn.linear3."),
            (r"\.block\.feed_forward\.convs\.0\.", ".SRSSB.ffn.dw_conv3x3."),
            (r"\.block\.feed_forward\.convs\.1\.", ".SRSSB.ffn.dw_conv5x5."),
            (r"\.block\.", ".SRSSB."),
            *VSS_NAMES,
            *((rf"^encoder\.{level}\.", f"e{level + 1}.") for level in range(LEVELS)),
            *((rf"^decoder\.{LEVELS - level}\.", f"d{level}.") for level in range(1, LEVELS + 1)),
            (r"^(e\d)\.project\.", r"\1.conv."),
            (r"^(e\d)\.norm\.", r"\1.bn."),
            (r"^(d\d)\.project\.", r"\1.conv2."),
            (r"^(d\d)\.norm\.", r"\1.bn2."),
            (r"^stem\.0\.", "pw_in."),
            (r"^stem\.1\.branches\.", "sk_in.convs."),
            (r"^stem\.1\.squeeze\.", "sk_in.fc."),
            (r"^stem\.1\.excite\.", "sk_in.fcs."),
            (r"^bottleneck\.filter\.", "ffmb.fft.main_fft."),
            (r"^bottleneck\.project\.", "ffmb.fc.fc."),
            (r"^bottleneck\.norm_in\.", "ffmb.norm1."),
            (r"^bottleneck\.norm_out\.", "ffmb.norm2."),
            (r"^head\.", "conv_out."),
        )
    )

    def __init__(self, width: int = 16, state: int = 16) -> None:
        super().__init__()
        check_whole("width", width, multiple=2)
        check_whole("state", state)
        self.preprocessing = Preprocessing(size=224)
        widths = [width * 2**level for level in range(LEVELS + 1)]
        self.stem = nn.Sequential(nn.Conv2d(3, width, 1), SelectiveKernel(width))
        self.encoder = nn.ModuleList(EncoderStage(fine, coarse, state) for fine, coarse in pairwise(widths))
        self.bottleneck = FrequencyBlock(widths[-1])
        self.decoder = nn.ModuleList(
            DecoderStage(coarse, fine, state) for coarse, fine in pairwise(reversed(widths))
        )
        self.head = nn.Conv2d(width, 1, 1)

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of 32, to logits (B, 1, H, W)."""
        x, skips = self.stem(images), []
        for encode in self.encoder:
            skips.append(encode(x))
            x = F.max_pool2d(skips[-1], 2)
        x = self.bottleneck(x)
        for decode, skip in zip(self.decoder, reversed(skips), strict=True):
            x = decode(x, skip)
        logits: Tensor = self.head(x)
        return logits
