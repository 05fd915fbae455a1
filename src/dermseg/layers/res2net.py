"""Res2Net (v1b, 26 channels in 4 groups) as an encoder: timm's network without its classifier.

Gao et al., "Res2Net: A New Multi-scale Backbone Architecture", arXiv 1904.01169.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from torch import Tensor, nn

from dermseg.errors import ConfigError
from dermseg.layers.checks import check_flag, check_wholes
from dermseg.layers.downloads import downloading

PRETRAINED: dict[tuple[int, ...], str] = {(3, 4, 6, 3): "res2net50d", (3, 4, 23, 3): "res2net101d"}
"""Depths for which timm has ImageNet weights, and its names for them."""
WIDTHS = (64, 128, 256, 512)
EXPANSION = 4
"""A stage of width w gives out 4 w channels."""


class Res2Net(nn.Module):
    """Maps of the last three stages of a Res2Net, at 1/8, 1/16 and 1/32 of the image.

    Weights are drawn as the release draws them: normal with variance 2 / fan-out; norms start as identities.

    Args:
        depths: Blocks per stage; (3, 4, 6, 3) is Res2Net-50, (3, 4, 23, 3) is Res2Net-101.
        widths: Widths of the four stages, even numbers of at least 4; a stage gives out 4 times as many
            channels.
        pretrained: Download ImageNet weights, which exist for Res2Net-50 and Res2Net-101.

    Raises:
        ConfigError: If a value is impossible, or there are no ImageNet weights for it or no way to get them.
    """

    def __init__(self, depths: Sequence[int], widths: Sequence[int], pretrained: bool) -> None:
        super().__init__()
        check_wholes("depths", depths, 4)
        check_wholes("encoder_widths", widths, 4, least=4, multiple=2)
        check_flag("pretrained", pretrained)
        name = PRETRAINED.get(tuple(depths), "res2net50d")
        if pretrained and (tuple(depths) not in PRETRAINED or tuple(widths) != WIDTHS):
            raise ConfigError(
                f"pretrained=True needs encoder_widths={WIDTHS} and depths of "
                f"{' or '.join(map(str, PRETRAINED))}, got {tuple(widths)} and {tuple(depths)}"
            )
        self.channels = tuple(EXPANSION * width for width in widths[1:])
        with downloading(name) if pretrained else nullcontext():
            self.backbone = _create(name, depths, widths, pretrained)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map images (B, 3, H, W), sides multiples of 32, to three maps (B, C, H', W'), fine to coarse."""
        maps: list[Tensor] = self.backbone(images)
        return maps


def _create(name: str, depths: Sequence[int], widths: Sequence[int], pretrained: bool) -> Any:  # noqa: ANN401
    import timm  # takes seconds to import, and is not typed, hence the Any

    return timm.create_model(
        name,
        pretrained=pretrained,
        features_only=True,
        out_indices=(2, 3, 4),
        layers=tuple(depths),
        channels=tuple(widths),
        stem_width=widths[0] // 2,
        zero_init_last=False,
    )
