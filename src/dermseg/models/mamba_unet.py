"""Mamba-UNet: Swin-Unet with visual state space blocks in place of shifted windows.

Wang et al., "Mamba-UNet: UNet-Like Pure Visual Mamba for Medical Image Segmentation", arXiv 2402.05079.
Written from the paper and from measurements of the released network, which this one equals.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from dermseg.layers.patch import PatchExpand
from dermseg.models.base import SegmentationModel
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.release import VSS_ENCODER_NAMES, VSS_NAMES, Release
from dermseg.models.vm_unet import (
    PATCH,
    STAGES,
    VSSEncoder,
    check_sizes,
    drop_path_rates,
    init_linear,
    vss_stages,
)


@register_model(
    "mamba_unet",
    ModelInfo(
        title="Mamba-UNet",
        year=2024,
        family="Mamba",
        paper="https://arxiv.org/abs/2402.05079",
        code="ziyangwang007/Mamba-UNet",
        licence="Apache-2.0",
        parameters=19_121_376,
    ),
)
class MambaUNet(SegmentationModel):
    """Mamba-UNet as released: VSS encoder and a VSS decoder that joins every skip and narrows it again.

    The encoder is that of VM-UNet with a norm after its last stage. Each of three decoder steps expands the
    map, joins the skip of that size, maps the joined channels back to the width linearly and passes VSS
    blocks. Skips are the inputs of the first three encoder stages, the bare patch embedding among them. A
    norm, an expansion by 4 that keeps the channels and a 1x1 convolution without bias give the logits.

    Departures: the released network has four classes (cardiac images); here there is one, so a checkpoint of
    four classes does not load: its head has another shape.

    Args:
        width: Channels at 1/4 of the image's size; doubled at every further halving. A multiple
            of 4, at least 8.
        depths: VSS blocks per encoder stage, fine to coarse, and of the decoder step of that size.
        drop_path: Drop-path rate of the encoder's last block; the rates grow linearly from 0, and decoder
            steps have those of the encoder stage of their size.
        state: Size N of the scan's state.

    Raises:
        ConfigError: If a value is impossible.
    """

    release = Release(
        (
            *VSS_ENCODER_NAMES,
            *((rf"^stages\.{step}\.(\d+)\.", rf"layers_up.{step + 1}.blocks.\1.") for step in range(3)),
            *VSS_NAMES,
            (r"^expansions\.0\.", "layers_up.0."),
            *((rf"^expansions\.{step}\.", f"layers_up.{step}.upsample.") for step in (1, 2)),
            *((rf"^joins\.{step}\.", f"concat_back_dim.{step + 1}.") for step in range(3)),
            (r"^norm_out\.", "norm_up."),
            (r"^final\.", "up."),
            (r"^head\.", "output."),
            (r"^", "mamba_unet."),
        )
    )

    def __init__(
        self,
        width: int = 96,
        depths: Sequence[int] = (2, 2, 2, 2),
        drop_path: float = 0.2,
        state: int = 16,
    ) -> None:
        super().__init__()
        check_sizes(width, depths, depths, drop_path, state)
        self.encoder = VSSEncoder(width, depths, drop_path, state)
        coarse, *finer = self.encoder.widths[::-1]
        self.norm = nn.LayerNorm(coarse)
        self.expansions = nn.ModuleList(PatchExpand(*widths) for widths in pairwise((coarse, *finer)))
        self.joins = nn.ModuleList(nn.Linear(2 * level, level) for level in finer)
        rates = drop_path_rates(drop_path, depths)
        stages = vss_stages(finer[::-1], depths[: STAGES - 1], rates, state)
        self.stages = nn.ModuleList(stages[::-1])
        self.norm_out = nn.LayerNorm(width)
        self.final = PatchExpand(width, width, PATCH)
        self.head = nn.Conv2d(width, 1, 1, bias=False)
        self.apply(init_linear)

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of 32, to logits (B, 1, H, W)."""
        maps = self.encoder(images)
        x = self.norm(maps.outputs[-1])
        steps = zip(self.expansions, self.joins, self.stages, maps.inputs[-2::-1], strict=True)
        for expand, join, stage, skip in steps:
            x = stage(join(torch.cat([expand(x), skip], dim=-1)))
        logits: Tensor = self.head(self.final(self.norm_out(x)).permute(0, 3, 1, 2))
        return logits
