"""VM-UNetV2: a VM-UNet encoder whose maps are multiplied with each other before a thin decoder.

Zhang et al., "VM-UNET-V2: Rethinking Vision Mamba UNet for Medical Image Segmentation", arXiv 2403.09157.
Written from the paper and from measurements of the released network, which this one equals.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.layers.attention import ChannelAttention, SpatialAttention
from dermseg.layers.checks import check_whole
from dermseg.models.base import SegmentationModel
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.release import VSS_ENCODER_NAMES, VSS_NAMES, Release, Table
from dermseg.models.vm_unet import PATCH, STAGES, VSSEncoder, check_sizes, init_linear

RELEASED = ModelInfo(
    title="VM-UNetV2",
    year=2024,
    family="Mamba",
    paper="https://arxiv.org/abs/2403.09157",
    code="nobodyplayer1/VM-UNetV2",
    licence="Apache-2.0",
    parameters=22_770_934,
    dead=8_948_834,
)
NAMES: Table = (
    *VSS_ENCODER_NAMES,
    *VSS_NAMES,
    (r"^(patch_embed|layers)\.", r"vmunet.\1."),
    (r"^attention\.(\d)\.0\.squeeze\.", r"ca_\1.fc1."),
    (r"^attention\.(\d)\.0\.excite\.", r"ca_\1.fc2."),
    (r"^attention\.(\d)\.1\.project\.", r"sa_\1.conv1."),
    (r"^narrow\.(\d)\.0\.", r"Translayer_\1.conv."),
    (r"^narrow\.(\d)\.1\.", r"Translayer_\1.bn."),
    (r"^infusions\.(\d)\.", r"sdi_\1."),
    # The authors count these modules from one.
    *((rf"^(ca|sa|Translayer|sdi)_{level}\.", rf"\g<1>_{level + 1}.") for level in range(3, -1, -1)),
    *((rf"^expansions\.{step}\.", f"deconv{step + 2}.") for step in range(3)),
    (r"^head\.", "seg_outs.3."),
    (r"^coarse_head\.", "seg_outs.2."),
    (r"^coarse_up\.", "deconv6."),
)
DEAD = r"vmunet\.layers\.3\.blocks\..*|seg_outs\.[01]\..*|deconv5\..*"


class Infusion(nn.Module):
    """Semantics and detail infusion (SDI): the maps of all levels, brought to one level's size, multiplied.

    Finer maps are averaged, coarser ones are enlarged bilinearly (corners aligned); each then passes a 3x3
    convolution of its own.

    Args:
        width: Channels of every map.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(STAGES))

    def forward(self, maps: Sequence[Tensor], like: Tensor) -> Tensor:
        """Map one map (B, width, H_l, W_l) per level to one of the size of `like`."""
        resized = [conv(_resized(x, like)) for conv, x in zip(self.convs, maps, strict=True)]
        infused: Tensor = reduce(torch.mul, resized)
        return infused


@register_model("vm_unet_v2_nods", replace(RELEASED, dead=8_948_893))
class VMUNetV2OneHead(SegmentationModel):
    """VM-UNetV2 as released without deep supervision: VSS encoder, attention, infusion, thin decoder.

    The encoder gives the inputs of its four stages, at 1/4 to 1/32 of the image: the bare patch embedding
    and three merged maps. Channel and spatial attention (CBAM) gate each map, a 1x1 convolution and batch
    norm narrow it, and an infusion per level multiplies all four. From the coarsest level up, transposed
    convolutions double the size and the next level's infusion is added. A 1x1 head at 1/4, enlarged
    bilinearly, gives the logits.

    Departures: the blocks of the last encoder stage, three of the four heads and two transposed convolutions
    never touch the output, two fifths of the released parameters; they are not built. The activation
    after the 1x1 convolutions is never called in the release. Its channel attention divides the channels by
    16, whatever ratio is asked for. It stretches the values of each image to 0..255, from its lowest to its
    highest; here images are standardised as for ImageNet, so released weights want images prepared as
    released.

    Args:
        width: Channels at 1/4 of the image's size; doubled at every further halving. A multiple
            of 4, at least 8.
        depths: VSS blocks per encoder stage, fine to coarse; the last stage, which is not built, counts in
            the drop-path rates alone.
        channels: Channels of the decoder.
        drop_path: Drop-path rate of the last block; the rates grow linearly from 0.
        state: Size N of the scan's state.

    Raises:
        ConfigError: If a value is impossible.
    """

    release = Release(NAMES, rf"{DEAD}|seg_outs\.2\..*|deconv6\..*")

    def __init__(
        self,
        width: int = 96,
        depths: Sequence[int] = (2, 2, 9, 2),
        channels: int = 48,
        drop_path: float = 0.2,
        state: int = 16,
    ) -> None:
        super().__init__()
        check_sizes(width, depths, depths, drop_path, state)
        check_whole("channels", channels)
        self.encoder = VSSEncoder(width, depths, drop_path, state, built=STAGES - 1)
        self.attention = nn.ModuleList(
            nn.Sequential(ChannelAttention(level), SpatialAttention()) for level in self.encoder.widths
        )
        self.narrow = nn.ModuleList(
            nn.Sequential(nn.Conv2d(level, channels, 1, bias=False), nn.BatchNorm2d(channels))
            for level in self.encoder.widths
        )
        self.infusions = nn.ModuleList(Infusion(channels) for _ in range(STAGES))
        self.expansions = nn.ModuleList(
            nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=1, bias=False)
            for _ in range(STAGES - 1)
        )
        self.head = nn.Conv2d(channels, 1, 1)
        self.encoder.apply(init_linear)

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of 32, to logits (B, 1, H, W)."""
        _, fine = self.decoded(images)
        return _enlarged(self.head(fine))

    def decoded(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map padded images to the decoder's last two maps (B, channels, H/8, W/8) and (.., H/4, W/4)."""
        inputs = (x.permute(0, 3, 1, 2) for x in self.encoder(images).inputs)
        gated = (attend(x) for attend, x in zip(self.attention, inputs, strict=True))
        maps = [narrow(x) for narrow, x in zip(self.narrow, gated, strict=True)]
        *finer, coarsest = (infuse(maps, x) for infuse, x in zip(self.infusions, maps, strict=True))
        before, x = coarsest, coarsest
        for expand, level in zip(self.expansions, reversed(finer), strict=True):
            before, x = x, expand(x) + level
        return before, x


@register_model("vm_unet_v2", RELEASED)
class VMUNetV2(VMUNetV2OneHead):
    """VM-UNetV2 as released with deep supervision: a second head, at 1/8, adds to the logits.

    All else is as without deep supervision: the encoder's four maps are gated, narrowed, infused into each
    other and decoded by transposed convolutions. The second head's logits are enlarged bilinearly by 4, then
    by a transposed convolution.

    Departures: what the paper calls deep supervision of several outputs is one sum and has one loss. The
    blocks of the last encoder stage, the two coarsest heads and one transposed convolution never touch
    the output, two fifths of the released parameters; they are not built. The ratio of the channel attention
    and the scale of images are as without deep supervision: 16, and 0..255 in the release alone.

    Args:
        width: Channels at 1/4 of the image's size, as without deep supervision.
        depths: VSS blocks per encoder stage.
        channels: Channels of the decoder.
        drop_path: Drop-path rate of the last block.
        state: Size N of the scan's state.

    Raises:
        ConfigError: If a value is impossible.
    """

    release = Release(NAMES, DEAD)

    def __init__(
        self,
        width: int = 96,
        depths: Sequence[int] = (2, 2, 9, 2),
        channels: int = 48,
        drop_path: float = 0.2,
        state: int = 16,
    ) -> None:
        super().__init__(width, depths, channels, drop_path, state)
        self.coarse_head = nn.Conv2d(channels, 1, 1)
        self.coarse_up = nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=1)

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of 32, to logits (B, 1, H, W)."""
        coarse, fine = self.decoded(images)
        added: Tensor = self.coarse_up(_enlarged(self.coarse_head(coarse)))
        return _enlarged(self.head(fine)) + added


def _resized(x: Tensor, like: Tensor) -> Tensor:
    """Average or enlarge a map to the size of another; their sides differ by powers of two."""
    height, width = like.shape[2:]
    if x.shape[2] > height:
        return F.avg_pool2d(x, x.shape[2] // height)
    if x.shape[2] < height:
        return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=True)
    return x


def _enlarged(logits: Tensor) -> Tensor:
    return F.interpolate(logits, scale_factor=PATCH, mode="bilinear", align_corners=False)
