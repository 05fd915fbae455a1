"""UNet++: a U-Net whose skips are filled with further blocks.

Zhou et al., "UNet++: A Nested U-Net Architecture for Medical Image Segmentation", DLMIA 2018, arXiv
1807.10165. Written from the paper and from measurements of the network that 4uiiurz1/pytorch-nested-unet
released, which this one equals in both its forms.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.layers.checks import check_flag, check_whole
from dermseg.layers.convolution import convolution, double_convolution
from dermseg.models.base import Outputs, Preprocessing, SegmentationModel
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.release import Release, Table

LEVELS = 5
HEAD = "final"
HEADS = ("final1", "final2", "final3", "final4")
"""One for each block of the finest level after the first."""
RELEASED = ModelInfo(
    title="UNet++",
    year=2018,
    family="CNN",
    paper="https://arxiv.org/abs/1807.10165",
    code="4uiiurz1/pytorch-nested-unet",
    licence="MIT",
    parameters=9_163_329,
)
NAMES: Table = (
    (r"^nodes\.(\d_\d)\.0\.", r"conv\1.conv1."),
    (r"^nodes\.(\d_\d)\.1\.", r"conv\1.bn1."),
    (r"^nodes\.(\d_\d)\.3\.", r"conv\1.conv2."),
    (r"^nodes\.(\d_\d)\.4\.", r"conv\1.bn2."),
    (r"^heads\.", ""),
)


@register_model("unet_plus_plus_ds", replace(RELEASED, parameters=9_163_428), deep_supervision=True)
@register_model("unet_plus_plus", RELEASED)
class UNetPlusPlus(SegmentationModel):
    """UNet++: a triangle of double convolutions x(i, j) at level i = 0..4 and step j = 0..4-i.

    Stages: x(i, 0) is the encoder of a U-Net (32 to 512 channels, 2x2 max pools). Every other x(i, j) joins
    all earlier blocks of its level and the enlarged x(i+1, j-1), in this order, so that each x(0, j) is the
    end of a U-Net of j levels. A 1x1 convolution makes one logit per pixel out of x(0, 4); with deep
    supervision each of x(0, 1) to x(0, 4) has a head of its own at full size, and the last is the prediction.

    Departures: the paper's Keras network has no BatchNorm but dropout, enlarges by transposed convolutions
    that shrink the channels, and averages its heads or picks one; the release normalises, enlarges
    bilinearly (corners aligned) and keeps all channels. No part is dead; with deep supervision the first
    three heads serve training alone.

    Args:
        width: Channels at full size; doubled at every halving.
        deep_supervision: Give a head to every block of the finest level but the first.

    Raises:
        ConfigError: If the width is less than 1.
    """

    stride = 2 ** (LEVELS - 1)
    release = Release(NAMES)

    def __init__(self, width: int = 32, deep_supervision: bool = False) -> None:
        super().__init__()
        check_whole("width", width)
        check_flag("deep_supervision", deep_supervision)
        widths = [width * 2**level for level in range(LEVELS)]
        self.preprocessing = Preprocessing(size=96)
        self.nodes = nn.ModuleDict()
        for step in range(LEVELS):
            for level in range(LEVELS - step):
                entering = step * widths[level] + widths[level + 1] if step else [3, *widths][level]
                self.nodes[_name(level, step)] = double_convolution(entering, widths[level])
        names = HEADS if deep_supervision else (HEAD,)
        self.heads = nn.ModuleDict({name: convolution(width, 1, kernel=1) for name in names})

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of 16, to logits (B, 1, H, W)."""
        *_, last = self.heads.values()
        logits: Tensor = last(self._finest(images)[-1])
        return logits

    def outputs_padded(self, images: Tensor) -> Outputs:
        """Map images likewise to the logits and, with deep supervision, those of the other heads."""
        _, *finest = self._finest(images)
        heads = self.heads.values()
        *auxiliary, logits = (head(x) for head, x in zip(heads, finest[-len(heads) :], strict=True))
        return Outputs(logits, tuple(auxiliary))

    def _finest(self, images: Tensor) -> list[Tensor]:
        """Compute the triangle, diagonal by diagonal; return the blocks x(0, 0) to x(0, 4)."""
        levels: list[list[Tensor]] = []
        for level in range(LEVELS):
            x = F.max_pool2d(levels[-1][0], 2) if levels else images
            levels.append([self.nodes[_name(level, 0)](x)])
            for step, finer in enumerate(reversed(levels[:-1]), start=1):
                coarser = _enlarged(levels[level - step + 1][-1])
                finer.append(self.nodes[_name(level - step, step)](torch.cat([*finer, coarser], dim=1)))
        return levels[0]


def _name(level: int, step: int) -> str:
    return f"{level}_{step}"


def _enlarged(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
