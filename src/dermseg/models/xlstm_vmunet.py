"""XLSTM-VMUNet: VM-UNet whose multi-scale features pass through an extended LSTM (paper section 3.5).

The paper and the code its authors released differ; `fusion` says which is built, or what lies between:

- "multilevel" is the paper (section 3.5.2, Eq 16). Encoder level F^(l) is the output of stage l before patch
  merging, at 1/4 to 1/32 of the image, and l is the xLSTM's time. The fused levels feed the decoder: the
  coarsest as its input, every other as the skip at its own resolution, added after the expansion.
- "rows" and "released" put the xLSTM behind the logit map of VM-UNet as released. "rows" reads the rows of
  an image in order; in "released" the images of a batch follow each other in time, as in the released code.

With `xlstm_layers=""` there is no xLSTM (version 1 of Table 2): F_fusion^(l) = F^(l), and logits stay.
"""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from dermseg.errors import ConfigError, DermsegWarning
from dermseg.layers.checks import check_flag, check_whole
from dermseg.layers.fusion import MultiLevelFusion, RowFusion
from dermseg.layers.xlstm import check_layers
from dermseg.layers.xlstm_released import COLUMNS, ReleasedXLSTM
from dermseg.models.base import SegmentationModel
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.vil_encoder import WIDTHS as VIL
from dermseg.models.vil_encoder import ViLEncoder
from dermseg.models.vm_unet import (
    STAGES,
    EncoderMaps,
    VSSDecoder,
    VSSEncoder,
    check_sizes,
    decode_as_released,
    init_linear,
    stage_widths,
)

if TYPE_CHECKING:
    from dermseg.models.encoders import TimmEncoder
    from dermseg.models.shallow_encoder import ShallowEncoder

FUSIONS = ("multilevel", "rows", "released")


@register_model(
    "xlstm_vmunet",
    ModelInfo(
        title="XLSTM-VMUNet",
        year=2024,
        family="Mamba, xLSTM",
        paper="https://arxiv.org/abs/2411.09363",
        code="FangZhuoyi/XLSTM-VMUNet",
        licence="none stated",
        parameters=27_938_845,
    ),
)
class XLSTMVMUNet(SegmentationModel):
    """VM-UNet with an xLSTM over its encoder levels, or behind its logits.

    In place of the VSS encoder, which can start from VMamba's ImageNet weights, Vision-LSTM or any timm model
    with features at four scales can stand under the same fusion and decoder.

    Args:
        fusion: Where the xLSTM stands: "multilevel", "rows" or "released"; see the top of this file.
        xlstm_layers: Its blocks, versions 1 to 4 of Table 2: "", "s", "m" or "sm".
        encoder: "vssm"; "vil_tiny", "vil_small" or "vil_base" (Vision-LSTM); "efficientnet_lite0_shallow"
            (the first half of EfficientNet-Lite0); or the name of a timm model with features at 1/4, 1/8,
            1/16 and 1/32 of the image.
        pretrained: Start a timm encoder from its ImageNet weights, of an installed package or downloaded.
        width: Channels at 1/4 of the image's size; doubled at every further halving. A multiple of 4, at
            least 8. Maps of other encoders are projected to these channels, which size the decoder.
        depths: VSS blocks per encoder stage, fine to coarse; without effect on other encoders.
        depths_decoder: VSS blocks per decoder stage, coarse to fine.
        drop_path: Largest drop-path rate of the VSS blocks.
        state: Size N of the scan's state.
        fusion_width: Features per time step of the "multilevel" xLSTM.
        heads: Heads of the xLSTM's blocks; must divide its features per step. The released xLSTM has one.
        fusion_levels: Encoder levels that pass the "multilevel" xLSTM, counted from the coarsest; finer ones
            reach the decoder as they are.
        half_width: Channels, even, of a last decoder stage at 1/2 of the image, which draws finer outlines;
            0 for none, as in the paper. It needs "multilevel" and an encoder with a map of this size: the
            first half of EfficientNet-Lite0, or one of timm's such as EfficientNet, MobileNet or ResNet.
        learned_scale: Learn the weights alpha and beta of Eq 16; otherwise they stay at 1 and 0.1. Only
            "multilevel" has them.

    Raises:
        ConfigError: If a value is impossible.
    """

    def __init__(
        self,
        fusion: str = "multilevel",
        xlstm_layers: str = "sm",
        encoder: str = "vssm",
        pretrained: bool = False,
        width: int = 96,
        depths: Sequence[int] = (2, 2, 2, 2),
        depths_decoder: Sequence[int] = (2, 2, 2, 1),
        drop_path: float = 0.2,
        state: int = 16,
        fusion_width: int = 192,
        heads: int = 4,
        fusion_levels: int = 4,
        half_width: int = 0,
        learned_scale: bool = True,
    ) -> None:
        super().__init__()
        check_sizes(width, depths, depths_decoder, drop_path, state)
        check_flag("pretrained", pretrained)
        check_flag("learned_scale", learned_scale)
        check_whole("fusion_levels", fusion_levels, most=STAGES)
        if not isinstance(encoder, str):
            raise ConfigError(f"encoder must be 'vssm' or the name of another one, got {encoder!r}")
        if pretrained and encoder in ("vssm", *VIL):
            raise ConfigError(f"pretrained=True needs a timm encoder; for {encoder!r} see load_released")
        _check_fusion(fusion, xlstm_layers, encoder, fusion_width, heads)
        _check_half(half_width, fusion, encoder)
        self.fusion = fusion
        self.finer = STAGES - fusion_levels
        self.encoder: nn.Module
        if encoder == "vssm":
            self.encoder = VSSEncoder(width, depths, drop_path, state).apply(init_linear)
        elif encoder in VIL:
            self.encoder = ViLEncoder(encoder, stage_widths(width))
        else:
            self.encoder = _convolutions(encoder, stage_widths(width), pretrained, half_width)
            self.preprocessing = self.encoder.preprocessing
        self.decoder = VSSDecoder(width, depths_decoder, drop_path, state, half_width).apply(init_linear)
        self.xlstm: nn.Module
        if fusion == "multilevel" and xlstm_layers:
            widths = stage_widths(width)[self.finer :]
            self.xlstm = MultiLevelFusion(widths, fusion_width, xlstm_layers, heads, learned_scale)
        else:
            self.xlstm = _behind_logits(fusion, xlstm_layers, heads)
        self.batch_independent = fusion != "released" or not xlstm_layers

    def _padded(self, images: Tensor) -> Tensor:
        padded = super()._padded(images)
        if self.fusion == "released" and images.shape[-1] != COLUMNS:
            raise ConfigError(
                f"fusion='released' takes images {COLUMNS} pixels wide only, got {images.shape[-1]}; "
                "resize them, or use fusion='multilevel' or 'rows'"
            )
        return padded

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of 32, to logits (B, 1, H, W)."""
        maps: EncoderMaps = self.encoder(images)
        if self.fusion == "multilevel":
            finer, coarser = maps.outputs[: self.finer], maps.outputs[self.finer :]
            return decode_levels(self.decoder, [*finer, *self.xlstm(coarser)], maps.half)
        if maps.inputs:
            logits = decode_as_released(self.decoder, maps)
        else:  # other encoders do not give what their stages received
            logits = decode_levels(self.decoder, maps.outputs)
        fused: Tensor = self.xlstm(logits) if self.fusion == "rows" else self.xlstm(logits[:, 0])[:, None]
        return fused


def _convolutions(
    name: str, widths: Sequence[int], pretrained: bool, half_width: int
) -> "TimmEncoder | ShallowEncoder":
    # timm takes seconds to import
    from dermseg.models.encoders import TimmEncoder
    from dermseg.models.shallow_encoder import SHALLOW, ShallowEncoder

    if name == SHALLOW:
        return ShallowEncoder(widths, pretrained, half_width)
    return TimmEncoder(name, widths, pretrained, half_width)


def _behind_logits(fusion: str, layers: str, heads: int) -> nn.Module:
    """Make the xLSTM behind the logit map; without blocks there is none."""
    if fusion == "released":
        return ReleasedXLSTM(layers)
    return RowFusion(COLUMNS, layers, heads) if layers else nn.Identity()


def decode_levels(decoder: VSSDecoder, levels: Sequence[Tensor], half: Tensor | None = None) -> Tensor:
    """Decode levels (B, H, W, C), given fine to coarse; each is added after the expansion to its size.

    `half` is the encoder's map at 1/2 of the image, for a decoder with a stage there.
    """
    *skips, x = levels
    first, *others = decoder.stages
    x = first(x)
    for stage, skip in zip(others, reversed(skips), strict=True):
        x = stage(x, skip)
    return decoder.logits(x, half)


def _check_half(width: int, fusion: str, encoder: str) -> None:
    check_whole("half_width", width, least=0, multiple=2)
    if not width:
        return
    if width < 4:
        raise ConfigError(f"half_width must be 0 or at least 4, got {width}")
    if fusion != "multilevel":
        raise ConfigError(f"half_width={width} needs fusion='multilevel', not {fusion!r}")
    if encoder in ("vssm", *VIL):
        raise ConfigError(
            f"half_width={width} needs an encoder with a map at half of the image's size; {encoder!r} begins "
            "at a quarter. Leave it at 0, or choose an encoder such as 'tf_efficientnet_lite0'"
        )


def _check_fusion(fusion: str, layers: str, encoder: str, width: int, heads: int) -> None:
    check_layers(layers)
    check_whole("fusion_width", width)
    check_whole("heads", heads)
    if fusion not in FUSIONS:
        raise ConfigError(f"fusion={fusion!r} is unknown; choose one of: {', '.join(FUSIONS)}")
    if fusion != "released":
        return
    if encoder != "vssm":
        raise ConfigError(f"fusion='released' exists with encoder='vssm' only, not {encoder!r}")
    neighbours = ", and an image's logits depend on the images before it in its batch" if layers else ""
    warnings.warn(
        f"fusion='released' is for loading and checking released checkpoints: it takes images {COLUMNS} "
        f"pixels wide only{neighbours}. Train with fusion='multilevel' or 'rows'.",
        DermsegWarning,
        stacklevel=4,
    )
