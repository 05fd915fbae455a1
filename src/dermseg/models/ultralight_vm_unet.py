"""UltraLight VM-UNet: 49 thousand parameters; one small Mamba layer runs over four groups of channels.

Wu et al., "UltraLight VM-UNet: Parallel Vision Mamba Significantly Reduces Parameters for Skin Lesion
Segmentation", arXiv 2403.20035. Written from the paper and from measurements of the released network, which
this one equals.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from dermseg.layers.bridge import BridgedUNet, check_widths, init_bridged
from dermseg.layers.mamba import Mamba
from dermseg.models.base import SegmentationModel
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.release import MAMBA_NAMES, Release, Table

CHUNKS = 4
BRIDGED_NAMES: Table = (
    # The authors count stages from one.
    *((rf"^unet\.(en|de)coders\.{stage}\.", rf"\1coder{stage + 1}.") for stage in range(6)),
    *((rf"^unet\.encoder_norms\.{stage}\.", f"ebn{stage + 1}.") for stage in range(5)),
    *((rf"^unet\.decoder_norms\.{stage}\.", f"dbn{stage + 1}.") for stage in range(5)),
    *((rf"^unet\.bridge\.channel\.gates\.{stage}\.", f"scab.catt.att{stage + 1}.") for stage in range(5)),
    (r"^unet\.bridge\.channel\.mix\.", "scab.catt.get_all_att."),
    (r"^unet\.bridge\.spatial\.project\.", "scab.satt.shared_conv2d.0."),
    (r"^unet\.head\.", "final."),
)
"""From our names of a bridged U-Net, around its stages' layers, to the released ones."""


class ParallelMamba(nn.Module):
    """The parallel vision Mamba (PVM) layer: four groups of channels pass the same Mamba layer.

    A quarter of the channels needs a sixteenth of the parameters, and the quarters share them.

    Args:
        width: Channels of the input, a multiple of 4.
        out: Channels of the result.
    """

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mamba = Mamba(width // CHUNKS)
        self.skip_scale = nn.Parameter(torch.ones(1))
        self.proj = nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to (B, out, H, W); the pixels are read row by row."""
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        chunks = torch.stack(tokens.chunk(CHUNKS, dim=2), dim=1)  # (B, 4, L, width / 4)
        mixed = self.mamba(chunks.flatten(0, 1)).view_as(chunks) + self.skip_scale * chunks
        joined = torch.cat(mixed.unbind(1), dim=2)
        projected: Tensor = self.proj(self.norm(joined))  # the same norm again, as released
        return projected.transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:])


@register_model(
    "ultralight_vm_unet",
    ModelInfo(
        title="UltraLight VM-UNet",
        year=2024,
        family="Mamba",
        paper="https://arxiv.org/abs/2403.20035",
        code="wurenkai/UltraLight-VM-UNet",
        licence="MIT",
        parameters=49_457,
    ),
)
class UltraLightVMUNet(SegmentationModel):
    """UltraLight VM-UNet as released: convolutions, parallel Mamba layers and an attention bridge.

    Stages 1 to 3 are single 3x3 convolutions, stages 4 to 6 parallel vision Mamba layers; the decoder mirrors
    them. Each stage halves the image, except the last, so the coarsest map has 1/32 of its size. Spatial and
    channel attention over all skips at once form the bridge; the decoder adds the skips. The head works at
    half the image's size.

    Departures: the Mamba layers lose Mamba's own initialisation, as released: linear layers are redrawn and
    the bias of the step sizes starts at 0. A parallel Mamba layer has one norm, used before and after the
    scan, and a single factor scales its skip. The release stretches the values of each image to 0..255, from
    its lowest to its highest; here images are standardised as for ImageNet, so released weights want images
    prepared as released.

    Args:
        widths: Channels of the six stages, multiples of 4.

    Raises:
        ConfigError: If a value is impossible.
    """

    release = Release((*BRIDGED_NAMES, *MAMBA_NAMES))

    def __init__(self, widths: Sequence[int] = (8, 16, 24, 32, 48, 64)) -> None:
        super().__init__()
        check_widths(widths)
        steps = list(pairwise((3, *widths)))
        down = [_convolution(*step) for step in steps[:3]] + [_mamba(*step) for step in steps[3:]]
        back = [(coarse, fine) for fine, coarse in reversed(steps[1:])]
        up = [_mamba(*step) for step in back[:3]] + [_convolution(*step) for step in back[3:]]
        self.unet = BridgedUNet(widths, down, up)
        self.apply(init_bridged)

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of 32, to logits (B, 1, H, W)."""
        logits: Tensor = self.unet(images)
        return logits


def _convolution(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, out, 3, padding=1))


def _mamba(width: int, out: int) -> nn.Sequential:
    return nn.Sequential(ParallelMamba(width, out))
