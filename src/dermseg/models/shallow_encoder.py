"""The first half of EfficientNet-Lite0 as an encoder: a thirteenth of its weights, for small files."""

from collections.abc import Sequence
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.models.base import Preprocessing
from dermseg.models.encoders import make_strides_even, projection
from dermseg.models.imagenet import packaged_weights, timm_weights
from dermseg.models.vm_unet import EncoderMaps

SHALLOW = "efficientnet_lite0_shallow"
"""Name that chooses it."""
WHOLE = "tf_efficientnet_lite0"
"""The timm model that it is cut from."""
STAGES_KEPT = 4
"""Of seven; the three behind them hold nine tenths of the weights."""
CHANNELS = (16, 24, 40, 80, 80)
"""Of its maps at 1/2, 1/4, 1/8, 1/16 and 1/32."""


class ShallowEncoder(nn.Module):
    """EfficientNet-Lite0 up to its 80 channels at 1/16; the map at 1/32 is the mean of every 2x2 of them.

    Args:
        widths: Channels of the four maps given out, fine to coarse.
        pretrained: Start from ImageNet weights: those of an installed package
            (`dermseg.models.imagenet.PACKAGES`), else downloaded.
        half_width: Channels of a fifth map, at 1/2 of the image; 0 for none.

    Raises:
        ConfigError: The ImageNet weights cannot be downloaded.
    """

    def __init__(self, widths: Sequence[int], pretrained: bool, half_width: int = 0) -> None:
        super().__init__()
        network: Any = timm.create_model(WHOLE)
        if pretrained:
            weights = packaged_weights(WHOLE) or timm_weights(WHOLE)
            network.load_state_dict(network.state_dict() | weights)
        make_strides_even(network)
        self.stem = nn.Sequential(network.conv_stem, network.bn1)
        self.stages = network.blocks[:STAGES_KEPT]
        config = network.pretrained_cfg
        self.preprocessing = Preprocessing(mean=tuple(config["mean"]), std=tuple(config["std"]))
        self.projections = nn.ModuleList(map(projection, CHANNELS[1:], widths))
        self.half_projection = projection(CHANNELS[0], half_width) if half_width else None

    def forward(self, images: Tensor) -> EncoderMaps:
        """Map images (B, 3, H, W), sides multiples of 32, to their maps; stage inputs are not given."""
        x = self.stem(images.contiguous(memory_format=torch.channels_last))
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        maps.append(F.avg_pool2d(x, 2))
        finest, *levels = [x.permute(0, 2, 3, 1) for x in maps]  # the first stage stays at 1/2
        half = None if self.half_projection is None else self.half_projection(finest)
        return EncoderMaps([], [p(x) for p, x in zip(self.projections, levels, strict=True)], half)
