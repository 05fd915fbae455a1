"""H-vmunet: scans of rising width, each multiplied into the next, in a U-Net with an attention bridge.

Wu et al., "H-vmunet: High-order Vision Mamba UNet for Medical Image Segmentation", arXiv 2403.13642. Written
from the paper and from measurements of the released network, which this one equals.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import StochasticDepth

from dermseg.errors import ConfigError
from dermseg.layers.bridge import BridgedUNet, check_widths, init_bridged
from dermseg.layers.channel_norm import ChannelNorm
from dermseg.layers.checks import check_rate
from dermseg.layers.ss2d import SS2D
from dermseg.models.base import SegmentationModel
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.release import VSS_NAMES, Release
from dermseg.models.ultralight_vm_unet import BRIDGED_NAMES
from dermseg.models.vm_unet import drop_path_rates

ORDERS = (2, 3, 4, 5)
"""Scans in a row in each block, in encoder stages 3 to 6 and, in reverse, decoder stages 1 to 4."""
DEPTH = 2
"""Blocks of each of these stages."""
LOCAL_SCALE = 1 / 3
LAYER_SCALE = 1e-6


class LocalScan(nn.Module):
    """Local-SS2D: half of the channels see 3x3 neighbours, half are scanned; then they alternate.

    Args:
        width: Channels, an even number.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.norm_in = ChannelNorm(width)
        self.conv = nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False)
        self.scan = SS2D(half)
        self.norm_out = ChannelNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        near, far = self.norm_in(x).chunk(2, dim=1)
        pairs = torch.stack([self.conv(near), _scanned(self.scan, far)], dim=2)
        normed: Tensor = self.norm_out(pairs.flatten(1, 2))
        return normed


class HighOrderScan(nn.Module):
    """H-SS2D: scans in a row, each twice as wide as the one before and multiplied by a local map first.

    Args:
        width: Channels, a multiple of 2 to the power of `order`.
        order: Number of scans.
    """

    def __init__(self, width: int, order: int) -> None:
        super().__init__()
        self.widths = [width // 2**step for step in reversed(range(order))]
        self.proj_in = nn.Conv2d(width, 2 * width, 1)
        self.local = LocalScan(sum(self.widths))
        self.scans = nn.ModuleList(SS2D(level) for level in self.widths)
        self.widen = nn.ModuleList(nn.Conv2d(level, 2 * level, 1) for level in self.widths[:-1])
        self.proj_out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        x, rest = self.proj_in(x).split([self.widths[0], sum(self.widths)], dim=1)
        first, *factors = (LOCAL_SCALE * self.local(rest)).split(self.widths, dim=1)
        scan, *scans = self.scans
        x = _scanned(scan, x * first)
        for widen, scan, factor in zip(self.widen, scans, factors, strict=True):
            x = _scanned(scan, widen(x) * factor)
        projected: Tensor = self.proj_out(x)
        return projected


class HighOrderBlock(nn.Module):
    """High-order scan, then two linear layers per pixel; each is scaled, and the map added to it.

    Args:
        width: Channels, a multiple of 2 to the power of `order`.
        order: Number of scans in a row.
        drop_path: Probability with which training skips a branch, drawn per image.
    """

    def __init__(self, width: int, order: int, drop_path: float) -> None:
        super().__init__()
        self.norm_scan = ChannelNorm(width)
        self.high_order = HighOrderScan(width, order)
        self.scale_scan = nn.Parameter(torch.full((width,), LAYER_SCALE))
        self.norm_mlp = nn.LayerNorm(width, eps=1e-6)
        self.expand = nn.Linear(width, 4 * width)
        self.reduce = nn.Linear(4 * width, width)
        self.scale_mlp = nn.Parameter(torch.full((width,), LAYER_SCALE))
        self.drop_path = StochasticDepth(drop_path, mode="row")

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same shape."""
        scanned = self.high_order(self.norm_scan(x))
        x = x + self.drop_path(self.scale_scan[:, None, None] * scanned)
        pixels = self.norm_mlp(x.permute(0, 2, 3, 1))
        mixed = self.scale_mlp * self.reduce(F.gelu(self.expand(pixels)))
        y: Tensor = x + self.drop_path(mixed.permute(0, 3, 1, 2))
        return y


@register_model(
    "h_vmunet",
    ModelInfo(
        title="H-vmunet",
        year=2024,
        family="Mamba",
        paper="https://arxiv.org/abs/2403.13642",
        code="wurenkai/H-vmunet",
        licence="none stated",
        parameters=8_972_623,
        dead=403_392,
    ),
)
class HVMUNet(SegmentationModel):
    """H-vmunet as released: convolutions, high-order scans and an attention bridge.

    Stages 1 and 2 of the encoder are single 3x3 convolutions; stages 3 to 6 are two high-order blocks, of
    order 2 to 5, and a convolution. The decoder mirrors them. Skips and bridge are those of UltraLight
    VM-UNet: each stage but the last halves the image, spatial and channel attention weigh all skips at once,
    the decoder adds them, and the head works at half the image's size.

    Departures: every block of the release carries the complex weight of a Fourier filter that it never uses;
    it is not built. Both blocks of the first decoder stage have the same drop-path rate. Linear layers
    inside the scans are redrawn with std 0.02, as released.

    Args:
        widths: Channels of the six stages: the second a multiple of 4, the third of 8, the fourth of
            16, the last two of 32.
        drop_path: Drop-path rate of the last encoder block; the rates grow linearly from 0.

    Raises:
        ConfigError: If a value is impossible.
    """

    # Recording its 72 scans with free sides takes longer than anyone would wait.
    exports_any_size = False

    release = Release(
        (
            (r"\.scale_scan$", ".gamma1"),
            (r"\.scale_mlp$", ".gamma2"),
            (r"\.norm_scan\.", ".norm1."),
            (r"\.norm_mlp\.", ".norm2."),
            (r"\.expand\.", ".pwconv1."),
            (r"\.reduce\.", ".pwconv2."),
            (r"\.(scan|scans\.\d)\.norm\.", r".\1.out_norm."),
            (r"\.local\.scan\.", ".dwconv.SS2D."),
            (r"\.local\.conv\.", ".dwconv.dw."),
            (r"\.local\.norm_in\.", ".dwconv.pre_norm."),
            (r"\.local\.norm_out\.", ".dwconv.post_norm."),
            (r"\.scans\.0\.", ".ss2d_in."),
            (r"\.scans\.(\d)\.", r".ss2d_\1."),
            (r"\.widen\.", ".pws."),
            (r"\.high_order\.", ".H_SS2D."),
            *BRIDGED_NAMES,
            *VSS_NAMES,
        ),
        dead=r".*\.complex_weight",
    )

    def __init__(self, widths: Sequence[int] = (8, 16, 32, 64, 128, 256), drop_path: float = 0.4) -> None:
        super().__init__()
        _check(widths, drop_path)
        rates = drop_path_rates(drop_path, (DEPTH,) * len(ORDERS))
        pairs = [rates[DEPTH * stage :][:DEPTH] for stage in range(len(ORDERS))]
        first, second, *deep = widths
        down = [_stage(3, first), _stage(first, second)]
        down += map(_stage, widths[1:5], deep, ORDERS, pairs)
        pairs[-1] = [pairs[-1][0]] * DEPTH
        up = [*map(_stage, widths[:1:-1], widths[4:0:-1], ORDERS[::-1], pairs[::-1]), _stage(second, first)]
        self.unet = BridgedUNet(widths, down, up)
        self.apply(init_bridged)

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of 32, to logits (B, 1, H, W)."""
        logits: Tensor = self.unet(images)
        return logits


def _stage(width: int, out: int, order: int = 0, rates: Sequence[float] = ()) -> nn.Sequential:
    blocks = [HighOrderBlock(width, order, rate) for rate in rates]
    return nn.Sequential(*blocks, nn.Conv2d(width, out, 3, padding=1))


def _scanned(scan: nn.Module, x: Tensor) -> Tensor:
    """Pass a map that keeps its channels first through a scan that wants them last."""
    y: Tensor = scan(x.permute(0, 2, 3, 1))
    return y.permute(0, 3, 1, 2)


def _check(widths: Sequence[int], drop_path: float) -> None:
    check_widths(widths)
    for width, order in zip(widths[1:], (*ORDERS, ORDERS[-1]), strict=True):
        if width % 2**order:
            raise ConfigError(f"widths: {width} must be a multiple of {2**order}, as its blocks halve it")
    check_rate("drop_path", drop_path)
