"""R2U-Net, a U-Net of recurrent residual blocks, and the same with attention gates.

Alom et al., "Recurrent Residual Convolutional Neural Network based on U-Net (R2U-Net) for Medical Image
Segmentation", arXiv 1802.06955; with gates: Zuo, Chen and Wang, "R2AU-Net: Attention Recurrent Residual
Convolutional Neural Network for Multimodal Medical Image Segmentation", Security and Communication Networks
2021, doi 10.1155/2021/6625688. Written from the papers and from measurements of the networks that
LeeJunHyun/Image_Segmentation released, which these equal.
"""

from functools import partial

from dermseg.layers.checks import check_whole
from dermseg.layers.convolution import RecurrentResidualBlock
from dermseg.models.attention_unet import GATE_NAMES
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.release import Release, Table
from dermseg.models.unet import LICENCE, REPOSITORY, FiveLevelUNet, skeleton_names

NAMES: Table = (
    (r"\.projection\.", ".Conv_1x1."),
    (r"\.recurrent\.(\d)\.convolution\.", r".RCNN.\1.conv."),
    *skeleton_names(encoder="RRCNN{}.", decoder="Up_RRCNN{}."),
)


MOST_STEPS = 100
"""A weight file may not name a number of steps that never ends."""


class _RecurrentUNet(FiveLevelUNet):
    def __init__(self, width: int, steps: int, gated: bool) -> None:
        check_whole("steps", steps, least=0, most=MOST_STEPS)
        super().__init__(width, partial(RecurrentResidualBlock, steps=steps), gated)


@register_model(
    "r2_unet",
    ModelInfo(
        title="R2U-Net",
        year=2018,
        family="CNN",
        paper="https://arxiv.org/abs/1802.06955",
        code=REPOSITORY,
        licence=LICENCE,
        parameters=39_091_393,
    ),
)
class R2UNet(_RecurrentUNet):
    """The U-Net of this package with recurrent residual blocks in place of the double convolutions.

    Stages: those of `unet`; each block is a 1x1 convolution to the level's channels, to whose result two
    recurrent convolutions in sequence are added. A recurrent convolution is one 3x3 convolution with
    BatchNorm and ReLU, applied once to its input and then `steps` times to the sum of its input and its last
    result. The enlarging steps are not recurrent.

    Departures: the release concatenates skips, as U-Net does, and nothing follows its residual addition. All
    steps share one BatchNorm. Each normalises by its own batch in training, but by one running average over
    all steps in evaluation, so that evaluation can be much worse than training shows. A layer for
    enlarging, without parameters, is never used.

    Args:
        width: Channels at full size; doubled at every halving.
        steps: Recurrent steps t. The released class has 2; its training script sets 3 if not told otherwise.
            At most 100.

    Raises:
        ConfigError: If the width is less than 2, or the steps are not from 0 to 100.
    """

    release = Release(NAMES)

    def __init__(self, width: int = 64, steps: int = 2) -> None:
        super().__init__(width, steps, gated=False)


@register_model(
    "attention_r2_unet",
    ModelInfo(
        title="Attention R2U-Net",
        year=2021,
        family="CNN",
        paper="https://doi.org/10.1155/2021/6625688",
        code=REPOSITORY,
        licence=LICENCE,
        parameters=39_442_925,
    ),
)
class AttentionR2UNet(_RecurrentUNet):
    """The recurrent residual blocks of `r2_unet` with the attention gates of `attention_unet`.

    Stages: those of `r2_unet`, each skip weighed by a gate before it is concatenated.

    Departures: the release is older than the paper cited for it and not by its authors; it departs from
    R2U-Net and Attention U-Net as `r2_unet` and `attention_unet` do. A layer for enlarging, without
    parameters, is never used.

    Args:
        width: Channels at full size; doubled at every halving.
        steps: Recurrent steps t of each recurrent convolution, at most 100.

    Raises:
        ConfigError: If the width is less than 2, or the steps are not from 0 to 100.
    """

    release = Release((*GATE_NAMES, *NAMES))

    def __init__(self, width: int = 64, steps: int = 2) -> None:
        super().__init__(width, steps, gated=True)
