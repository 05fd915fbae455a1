"""Swin-UMamba: VMamba as the encoder of a residual U-Net with a head at every level.

Liu et al., "Swin-UMamba: Mamba-based UNet with ImageNet-based pretraining", arXiv 2402.03302. Written from
the paper and from measurements of the released network, which this one equals.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.layers.two_class import lesion_logits
from dermseg.layers.unetr import UNETRBlock, UNETRUpBlock
from dermseg.models.base import Outputs, SegmentationModel
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.release import VSS_ENCODER_NAMES, VSS_NAMES, Release
from dermseg.models.vm_unet import VSSEncoder, check_sizes, init_linear

HEADS = 4


@register_model(
    "swin_umamba",
    ModelInfo(
        title="Swin-UMamba",
        year=2024,
        family="Mamba",
        paper="https://arxiv.org/abs/2402.03302",
        code="JiarunLiu/Swin-UMamba",
        licence="Apache-2.0",
        parameters=59_886_344,
    ),
)
class SwinUMamba(SegmentationModel):
    """Swin-UMamba as released: VSS encoder behind a stem, residual blocks on every skip and in the decoder.

    The stem, a 7x7 convolution with instance norm, halves the image, the patch embedding halves it again, and
    four stages of VSS blocks follow. A residual block of convolutions turns the image, the stem's map and the
    outputs of the first three stages, taken before merging, into skips. The decoder doubles the map by
    transposed convolutions, joins the skip and passes a residual block, five times; one more block follows
    at full size. A head there gives the logits; three more, at 1/2, 1/4 and 1/8, serve the training loss.
    Every head has one output for skin and one for lesion; the logit is their difference, whose sigmoid is the
    softmax of lesion.

    Departures: the release leaves the coarse heads at their size and shrinks the mask for them; here their
    logits are enlarged bilinearly, as all outputs have the size of the image.

    Args:
        width: Channels at 1/4 of the image's size; doubled at every further halving, halved at every
            doubling. A multiple of 4, at least 8.
        depths: VSS blocks per encoder stage, fine to coarse.
        drop_path: Drop-path rate of the last block; the rates grow linearly from 0.
        state: Size N of the scan's state.

    Raises:
        ConfigError: If a value is impossible.
    """

    release = Release(
        (
            *VSS_ENCODER_NAMES,
            *VSS_NAMES,
            (r"^layers\.(\d)\.downsample\.", r"downsamples.\1."),
            (r"^(patch_embed|layers|downsamples)\.", r"vssm_encoder.\1."),
            *((rf"^skips\.{level}\.", f"encoder{level + 1}.layer.") for level in range(5)),
            *((rf"^decoder\.{step}\.block\.", f"decoder{6 - step}.conv_block.") for step in range(5)),
            *((rf"^decoder\.{step}\.expand\.", f"decoder{6 - step}.transp_conv.conv.") for step in range(5)),
            (r"^last\.", "decoder1.layer."),
            (r"\.(conv\d)\.weight$", r".\1.conv.weight"),
            (r"\.shortcut\.", ".conv3.conv."),
            (r"^heads\.(\d)\.", r"out_layers.\1.conv.conv."),
        )
    )

    def __init__(
        self,
        width: int = 96,
        depths: Sequence[int] = (2, 2, 9, 2),
        drop_path: float = 0.2,
        state: int = 16,
    ) -> None:
        super().__init__()
        check_sizes(width, depths, depths, drop_path, state)
        self.stem = nn.Sequential(
            nn.Conv2d(3, width // 2, 7, stride=2, padding=3), nn.InstanceNorm2d(width // 2, affine=True)
        )
        self.encoder = VSSEncoder(width, depths, drop_path, state, patch=2, channels=width // 2)
        self.encoder.apply(init_linear)
        widths = [3, width // 2, *self.encoder.widths]  # of the image, the stem's map and the stages' maps
        self.skips = nn.ModuleList(UNETRBlock(*step) for step in pairwise(widths))
        self.decoder = nn.ModuleList(
            UNETRUpBlock(*step) for step in pairwise([widths[-1], *reversed(widths[1:])])
        )
        self.last = UNETRBlock(width // 2, width // 2)
        self.heads = nn.ModuleList(nn.Conv2d(channels, 2, 1) for channels in widths[1 : HEADS + 1])

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of 32, to logits (B, 1, H, W)."""
        return lesion_logits(self.heads[0](self._decoded(images)[0]))

    def outputs_padded(self, images: Tensor) -> Outputs:
        """Map images (B, 3, H, W), H and W multiples of 32, to the logits of all heads (B, 1, H, W)."""
        scores = [head(x) for head, x in zip(self.heads, self._decoded(images), strict=True)]
        logits, *coarser = (lesion_logits(x) for x in scores)
        size = images.shape[2:]
        enlarged = [F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in coarser]
        return Outputs(logits, tuple(enlarged))

    def _decoded(self, images: Tensor) -> list[Tensor]:
        """Return the decoded maps at 1, 1/2, 1/4 and 1/8 of the image's size."""
        stem = self.stem(images)
        *maps, x = (stage.permute(0, 3, 1, 2) for stage in self.encoder(stem).outputs)
        skips = [block(level) for block, level in zip(self.skips, [images, stem, *maps], strict=True)]
        decoded = []
        for up, skip in zip(self.decoder, reversed(skips), strict=True):
            x = up(x, skip)
            decoded.append(x)
        return [self.last(x), *decoded[-2 : -HEADS - 1 : -1]]
