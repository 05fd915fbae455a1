"""xLSTM-UNet: nnU-Net's residual U-Net with a Vision-LSTM block at its bottom.

Chen et al., "xLSTM-UNet can be an Effective 2D & 3D Medical Image Segmentation Backbone with Vision-LSTM
(ViL) better than its Mamba Counterpart", arXiv 2407.01530. Written anew from the paper and from facts on the
released network `UXlstmBot` in two dimensions, which this one equals.
"""

from collections.abc import Sequence

from torch import Tensor

from dermseg.layers.checks import check_whole, check_wholes
from dermseg.layers.vil import BLOCK, ViLBlock
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.release import Release
from dermseg.models.u_mamba import NAMES, STAGES, WIDTHS, ResidualUNet, without_aliases
from dermseg.models.vision_lstm import NAMES as VIL_NAMES
from dermseg.models.vision_lstm import whole_scales


def convert(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keep one name of each released tensor, and scales as a whole."""
    return whole_scales(without_aliases(tensors))


@register_model(
    "xlstm_unet",
    ModelInfo(
        title="xLSTM-UNet",
        year=2024,
        family="xLSTM",
        paper="https://arxiv.org/abs/2407.01530",
        code="tianrun-chen/xLSTM-UNet-PyTorch",
        licence="Apache-2.0; its vision_lstm.py: AGPL-3.0",
        parameters=47_438_228,
        dead=1_024,
    ),
)
class XLSTMUNet(ResidualUNet):
    """xLSTM-UNet in its form `Bot`: one Vision-LSTM block between a residual encoder and its decoder.

    Stages: a stem and seven stages of residual blocks with InstanceNorm, at 1 to 1/64 of the image's size (32
    to 512 channels); to the pixels of the coarsest map, row by row, is added what an mLSTM with four heads
    makes of them, normalised; six times nearest-neighbour enlargement with a 1x1 convolution, concatenation
    `[up, skip]` and residual blocks. The skip at full size is not used. Each decoder stage has a head of two
    classes, and a logit here is the lesion's less the background's, whose sigmoid is their softmax. The five
    coarser heads are for training.

    Departures: the release derives its stages from the data set, as nnU-Net does; those here were chosen for
    256x256 images. It halves the blocks of the deeper stages of its plan. Vision-LSTM reads the tokens in
    both directions, by turns; its one block here reads them from first to last. The release trains coarse
    heads against reduced masks; here their logits are enlarged bilinearly. It refuses images whose coarsest
    map is a single pixel. A second LayerNorm beside the block is dead (1,024 parameters) and not built.

    Args:
        widths: Channels of the seven stages, fine to coarse; the last a multiple of 4.

    Raises:
        ConfigError: If the widths are not seven numbers of at least 1, or the last is no multiple of 4.
    """

    release = Release(
        ((r"^bottleneck\.", "xlstm.vil."), *VIL_NAMES, *NAMES), dead=r"xlstm\.norm\..*", convert=convert
    )

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        check_wholes("widths", widths, STAGES)
        check_whole("the last of widths", widths[-1], multiple=BLOCK)
        super().__init__(widths, ViLBlock)
