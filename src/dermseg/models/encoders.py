"""Encoders that can stand in place of the VSS encoder: any timm model with features at four scales."""

import difflib
from collections.abc import Sequence
from typing import Any

import timm
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.errors import ConfigError
from dermseg.layers.downloads import downloading
from dermseg.models.base import Preprocessing
from dermseg.models.imagenet import packaged_weights
from dermseg.models.vm_unet import EncoderMaps

PROBE = 64
STRIDES = (4, 8, 16, 32)


class TimmEncoder(nn.Module):
    """The last four feature maps of a timm model, each projected to the channels that the decoder expects.

    Args:
        name: Name of the timm model, such as "tf_efficientnet_lite0".
        widths: Channels of the four maps given out, fine to coarse.
        pretrained: Start from the model's ImageNet weights: those of an installed package
            (`dermseg.models.imagenet.PACKAGES`), else downloaded.
        half_width: Channels of a fifth map, at 1/2 of the image; 0 for none.

    Raises:
        ConfigError: If timm has no such model, or its maps are not at (1/2,) 1/4, 1/8, 1/16 and 1/32 of the
            image, or its ImageNet weights cannot be downloaded.
    """

    def __init__(self, name: str, widths: Sequence[int], pretrained: bool, half_width: int = 0) -> None:
        super().__init__()
        backbone = _features(name, pretrained, (2, *STRIDES) if half_width else STRIDES)
        self.backbone = backbone
        self.channels_last = _channels_last(backbone)
        config = backbone.pretrained_cfg
        # As the ImageNet weights were trained; without them any other would do as well.
        self.preprocessing = Preprocessing(mean=tuple(config["mean"]), std=tuple(config["std"]))
        channels = backbone.feature_info.channels()
        self.projections = nn.ModuleList(map(projection, channels[-len(STRIDES) :], widths))
        self.half_projection = projection(channels[0], half_width) if half_width else None

    def forward(self, images: Tensor) -> EncoderMaps:
        """Map images (B, 3, H, W), sides multiples of 32, to their maps; stage inputs are not given."""
        # Channels last: convolutions on a CPU are faster so, and what follows wants the maps in that order.
        maps = self.backbone(images.contiguous(memory_format=torch.channels_last))
        if not self.channels_last:
            maps = [features.permute(0, 2, 3, 1) for features in maps]
        half = None if self.half_projection is None else self.half_projection(maps[0])
        levels = maps[-len(STRIDES) :]
        return EncoderMaps([], [p(x) for p, x in zip(self.projections, levels, strict=True)], half)


def projection(channels: int, width: int) -> nn.Module:
    """Make what maps the channels of an encoder's map to those that the decoder expects."""
    return nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, width))


class EvenConv2dSame(Conv2dSame):
    """TensorFlow's "same" convolution with stride 2, for maps with even sides: all that an encoder meets.

    There the padding does not depend on the size. timm works it out from the size in every pass, which takes
    an export for any size minutes to reason about.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W), H and W even, to (B, C', H/2, W/2)."""
        height, width = self.kernel_size
        sides = ((width - 2) // 2, (width - 1) // 2, (height - 2) // 2, (height - 1) // 2)
        y: Tensor = F.conv2d(F.pad(x, sides), self.weight, self.bias, self.stride, groups=self.groups)
        return y


def make_strides_even(network: nn.Module) -> None:
    """Turn every "same" convolution with stride 2 into one for maps with even sides."""
    for module in network.modules():
        if type(module) is Conv2dSame and module.stride == (2, 2) and module.dilation == (1, 1):
            module.__class__ = EvenConv2dSame  # in place: the names of the weights stay


def _features(name: str, pretrained: bool, strides: Sequence[int]) -> Any:  # noqa: ANN401
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models())
        hint = f"did you mean {' or '.join(near)}?" if near else "timm.list_models() names those there are"
        raise ConfigError(f"encoder {name!r} is neither 'vssm' nor a timm model; {hint}")
    try:
        backbone = _create(name, len(strides), pretrained=False)
        fixed = backbone.pretrained_cfg.get("fixed_input_size")
        sides = [] if fixed else _sides(backbone)
    except Exception as error:  # whatever an architecture raises that has no such features
        raise ConfigError(
            f"encoder {name!r}: timm gives no features at {len(strides)} scales ({error})"
        ) from error
    if fixed:
        raise ConfigError(f"encoder {name!r} takes images of one size only; choose one that takes any")
    wanted = [(PROBE // stride, PROBE // stride) for stride in strides]
    if sides != wanted:
        raise ConfigError(
            f"encoder {name!r} has maps of sides {sides} for an image of {PROBE} pixels; "
            f"choose one with {wanted}"
        )
    if not pretrained:
        return backbone
    if (weights := packaged_weights(name)) is not None:
        unknown = backbone.load_state_dict(weights, strict=False).missing_keys
        assert all(key.endswith("num_batches_tracked") for key in unknown)
        return backbone
    with downloading(name):
        return _create(name, len(strides), pretrained=True)


def _create(name: str, levels: int, pretrained: bool) -> Any:  # noqa: ANN401 (timm is not typed)
    backbone = timm.create_model(
        name, pretrained=pretrained, features_only=True, out_indices=tuple(range(-levels, 0))
    )
    make_strides_even(backbone)
    return backbone


@torch.no_grad()
def _sides(backbone: Any) -> list[tuple[int, ...]]:  # noqa: ANN401
    """Measure heights and widths of the maps: the strides that timm states do not count unpadded borders."""
    maps = backbone.eval()(torch.zeros(1, 3, PROBE, PROBE))
    backbone.train()
    return [tuple(x.shape[1:3] if _channels_last(backbone) else x.shape[2:]) for x in maps]


def _channels_last(backbone: Any) -> bool:  # noqa: ANN401
    return str(getattr(backbone, "output_fmt", "NCHW")).endswith("NHWC")
