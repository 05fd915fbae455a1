"""Encoders that can stand in place of the VSS encoder: any timm model with features at four scales."""

import difflib
from collections.abc import Sequence
from typing import Any

import timm
from torch import Tensor, nn

from dermseg.errors import ConfigError
from dermseg.models.base import Preprocessing
from dermseg.models.vm_unet import EncoderMaps

STRIDES = [4, 8, 16, 32]


class TimmEncoder(nn.Module):
    """The last four feature maps of a timm model, each projected to the channels that the decoder expects.

    Args:
        name: Name of the timm model, such as "tf_efficientnet_lite0".
        widths: Channels of the four maps given out, fine to coarse.
        pretrained: Download the model's ImageNet weights.

    Raises:
        ConfigError: If timm has no such model, or its maps are not at 1/4, 1/8, 1/16 and 1/32 of the image.
    """

    def __init__(self, name: str, widths: Sequence[int], pretrained: bool) -> None:
        super().__init__()
        backbone: Any = _features(name, pretrained)
        self.backbone = backbone
        self.channels_last = str(getattr(backbone, "output_fmt", "NCHW")).endswith("NHWC")
        config = backbone.pretrained_cfg
        # As the ImageNet weights were trained; without them any other would do as well.
        self.preprocessing = Preprocessing(mean=tuple(config["mean"]), std=tuple(config["std"]))
        channels = backbone.feature_info.channels()
        self.projections = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(given), nn.Linear(given, wanted))
            for given, wanted in zip(channels, widths, strict=True)
        )

    def forward(self, images: Tensor) -> EncoderMaps:
        """Map images (B, 3, H, W), sides multiples of 32, to four maps; stage inputs are not given."""
        maps = self.backbone(images)
        if not self.channels_last:
            maps = [features.permute(0, 2, 3, 1) for features in maps]
        return EncoderMaps([], [project(x) for project, x in zip(self.projections, maps, strict=True)])


def _features(name: str, pretrained: bool) -> nn.Module:
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models())
        hint = f"did you mean {' or '.join(near)}?" if near else "timm.list_models() names those there are"
        raise ConfigError(f"encoder {name!r} is neither 'vssm' nor a timm model; {hint}")
    try:
        backbone: Any = timm.create_model(
            name, pretrained=pretrained, features_only=True, out_indices=(-4, -3, -2, -1)
        )
    except (RuntimeError, AttributeError, AssertionError, IndexError, ValueError) as error:
        raise ConfigError(f"encoder {name!r}: timm gives no features at four scales ({error})") from error
    if backbone.pretrained_cfg.get("fixed_input_size"):
        raise ConfigError(f"encoder {name!r} takes images of one size only; choose one that takes any")
    strides = list(backbone.feature_info.reduction())
    if strides != STRIDES:
        raise ConfigError(f"encoder {name!r} has features at strides {strides}; choose one with {STRIDES}")
    features: nn.Module = backbone
    return features
