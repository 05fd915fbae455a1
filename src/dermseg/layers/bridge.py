"""The U-Net with an attention bridge on its skips that UltraLight VM-UNet and H-vmunet share.

Ruan et al., "MALUNet", arXiv 2211.01784, brought in the bridge. Maps are channels first.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.layers.attention import SpatialAttention
from dermseg.layers.checks import check_wholes
from dermseg.layers.convolution import init_fan_out
from dermseg.layers.group_norm import GroupNorm

LEVELS = 6
GROUPS = 4
"""Groups of every group norm; all widths are multiples of it."""


class ChannelBridge(nn.Module):
    """Weighs the channels of each level in the light of all levels.

    The means of all channels of all levels form one sequence, which a convolution of three neighbours mixes;
    from it, one linear layer per level makes the factors of that level's channels.

    Args:
        widths: Channels of the levels.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.mix = nn.Conv1d(1, 1, 3, padding=1, bias=False)
        self.gates = nn.ModuleList(nn.Linear(sum(widths), width) for width in widths)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Map levels (B, C_l, H_l, W_l) to the same shapes."""
        means = torch.cat([x.mean((2, 3)) for x in levels], dim=1)
        mixed = self.mix(means[:, None])[:, 0]
        return [
            x * torch.sigmoid(gate(mixed))[:, :, None, None]
            for x, gate in zip(levels, self.gates, strict=True)
        ]


class Bridge(nn.Module):
    """Spatial, then channel attention on all skips.

    The spatially gated map joins twice: added to the skip before, and to the result after the channels are
    weighed.

    Args:
        widths: Channels of the levels.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.spatial = SpatialAttention(7, dilation=3, bias=True)
        self.channel = ChannelBridge(widths)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Map levels (B, C_l, H_l, W_l) to the same shapes."""
        spatial = [self.spatial(x) for x in levels]
        weighed = self.channel([gated + x for gated, x in zip(spatial, levels, strict=True)])
        return [x + gated for x, gated in zip(weighed, spatial, strict=True)]


class BridgedUNet(nn.Module):
    """Six encoder stages, five decoder stages; the bridge weighs the first five maps, the decoder adds them.

    Encoder stages 1 to 5 end in group norm, 2x2 max-pooling and GELU, the sixth in GELU alone; it reads the
    fifth map as it was before the bridge. A decoder stage ends in group norm, bilinear doubling (corners
    aligned, not in the first) and GELU, then adds its skip. A 1x1 head at half the image's size, doubled
    likewise, gives the logits.

    Args:
        widths: Channels that the encoder stages make.
        encoders: Layers of each encoder stage, from the image on; they keep the size.
        decoders: Layers of each decoder stage, coarse to fine.
    """

    def __init__(
        self, widths: Sequence[int], encoders: Sequence[nn.Sequential], decoders: Sequence[nn.Sequential]
    ) -> None:
        super().__init__()
        skips = widths[:-1]
        self.encoders = nn.ModuleList(encoders)
        self.encoder_norms = nn.ModuleList(GroupNorm(GROUPS, width) for width in skips)
        self.bridge = Bridge(skips)
        self.decoders = nn.ModuleList(decoders)
        self.decoder_norms = nn.ModuleList(GroupNorm(GROUPS, width) for width in reversed(skips))
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of 32, to logits (B, 1, H, W)."""
        x, skips = images, []
        *encoders, last = self.encoders
        for encode, norm in zip(encoders, self.encoder_norms, strict=True):
            x = F.gelu(F.max_pool2d(norm(encode(x)), 2))
            skips.append(x)
        x = F.gelu(last(x))
        stages = zip(self.decoders, self.decoder_norms, reversed(self.bridge(skips)), strict=True)
        for number, (decode, norm, skip) in enumerate(stages):
            x = norm(decode(x))
            x = F.gelu(_doubled(x) if number else x) + skip
        return _doubled(self.head(x))


def check_widths(widths: Sequence[int]) -> None:
    """Refuse impossible numbers of channels.

    Raises:
        ConfigError: If they are not six positive multiples of 4.
    """
    check_wholes("widths", widths, LEVELS, multiple=GROUPS)


def init_bridged(module: nn.Module) -> None:
    """Draw weights as the authors do: linear layers with std 0.02, convolutions by fan-out; biases 0.

    The fan-out of a 1-D convolution counts the channels of all its groups, and its bias is left alone.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv1d):
        nn.init.normal_(module.weight, std=math.sqrt(2 / (module.kernel_size[0] * module.out_channels)))
    elif isinstance(module, nn.Conv2d):
        init_fan_out(module)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
