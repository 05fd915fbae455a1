"""Attention U-Net: a U-Net whose skips pass attention gates.

Oktay et al., "Attention U-Net: Learning Where to Look for the Pancreas", MIDL 2018, arXiv 1804.03999.
Written from the paper and from measurements of the network that LeeJunHyun/Image_Segmentation released,
which this one equals.
"""

from dermseg.layers.convolution import double_convolution
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.release import Release, Table
from dermseg.models.unet import LICENCE, REPOSITORY, FiveLevelUNet, skeleton_names

GATE_NAMES: Table = (
    (r"\.gate\.from_gate\.", ".gate.W_g."),
    (r"\.gate\.from_skip\.", ".gate.W_x."),
    (r"\.gate\.weight\.", ".gate.psi."),
)
"""Inside a gate; applied before the names of the skeleton around it."""


@register_model(
    "attention_unet",
    ModelInfo(
        title="Attention U-Net",
        year=2018,
        family="CNN",
        paper="https://arxiv.org/abs/1804.03999",
        code=REPOSITORY,
        licence=LICENCE,
        parameters=34_878_573,
    ),
)
class AttentionUNet(FiveLevelUNet):
    """The U-Net of this package with an additive attention gate at each of its four skips.

    Stages: those of `unet`; before each concatenation the skip is multiplied by a weight per pixel, the
    sigmoid of a 1x1 convolution of ReLU(1x1 convolution of the skip + 1x1 convolution of the decoder's map),
    each with BatchNorm. The gated skip takes the place of the skip.

    Departures: the release gates each skip by the decoder's map already enlarged to the skip's size, where
    the paper takes the coarser map and resamples the weights; it has no output projection inside the gate
    and no deep supervision. No part is dead. For the row of this name in its comparison, the paper of
    XLSTM-VMUNet cites R2AU-Net (see `attention_r2_unet`), not the network of Oktay et al.

    Args:
        width: Channels at full size; doubled at every halving.

    Raises:
        ConfigError: If the width is less than 2.
    """

    release = Release((*GATE_NAMES, *skeleton_names(encoder="Conv{}.conv.", decoder="Up_conv{}.conv.")))

    def __init__(self, width: int = 64) -> None:
        super().__init__(width, double_convolution, gated=True)
