"""FANet: a U-Net that is shown a mask beside the image, and refines it by being shown its own.

Tomar et al., "FANet: A Feedback Attention Network for Improved Biomedical Image Segmentation", arXiv
2103.17235. Written from the paper and from measurements of the released network, which this one equals in its
default form.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.errors import ConfigError
from dermseg.layers.checks import check_whole
from dermseg.layers.otsu import otsu_masks
from dermseg.models.base import Outputs, Preprocessing, SegmentationModel, repeat_border
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.release import Release

LEVELS = 4
MOST_PASSES = 100
"""A weight file may not name a number of passes that never ends."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a projection whose channels are weighed by one hidden unit."""

    def __init__(self, given: int, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_conv(given, width, 3), nn.ReLU(), *_conv(width, width, 3))
        self.shortcut = nn.Sequential(*_conv(given, width, 1))
        self.gate = nn.Sequential(
            nn.Linear(width, 1, bias=False), nn.ReLU(), nn.Linear(1, width, bias=False), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, given, H, W) to (B, width, H, W), not negative."""
        shortcut = self.shortcut(x)
        weights = self.gate(shortcut.mean(dim=(2, 3)))
        return torch.relu(self.body(x) + shortcut * weights[..., None, None])


class MixPool(nn.Module):
    """Join what is seen of the whole map with what is seen inside a mask.

    The mask is the given one or the module's own, whichever holds more: a pixel is inside if it is in either.
    The own mask is a hard decision, through which no gradient flows, so its weights never learn.
    """

    def __init__(self, given: int, width: int) -> None:
        super().__init__()
        self.attention = nn.Sequential(*_conv(given, given, 3), nn.ReLU(), nn.Conv2d(given, 1, 1))
        self.inside = nn.Sequential(*_conv(given, width // 2, 3), nn.ReLU())
        self.whole = nn.Sequential(*_conv(given, width // 2, 3), nn.ReLU())

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map (B, given, H, W), with a mask (B, 1, H, W) of 0 and 1, to (B, width, H, W)."""
        seen = (self.attention(x) > 0) | (mask > 0)
        return torch.cat([self.inside(x * seen), self.whole(x)], dim=1)


class EncoderStage(nn.Module):
    """Two residual blocks, whose output is the skip, then MixPool and a halving of the map."""

    def __init__(self, given: int, width: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(ResidualBlock(given, width), ResidualBlock(width, width))
        self.mix = MixPool(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, given, H, W) to (B, width, H/2, W/2) and the skip (B, width, H, W)."""
        skip = self.blocks(x)
        return F.max_pool2d(self.mix(skip, mask), 2), skip


class DecoderStage(nn.Module):
    """A doubling of the map, joined with the skip, then two residual blocks and MixPool."""

    def __init__(self, given: int, width: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(given, given, 4, stride=2, padding=1)
        self.blocks = nn.Sequential(ResidualBlock(2 * given, width), ResidualBlock(width, width))
        self.mix = MixPool(width, width)

    def forward(self, x: Tensor, skip: Tensor, mask: Tensor) -> Tensor:
        """Map (B, given, H, W), with a skip (B, given, 2H, 2W), to (B, width, 2H, 2W)."""
        mixed: Tensor = self.mix(self.blocks(torch.cat([self.up(x), skip], dim=1)), mask)
        return mixed


@register_model(
    "fa_net",
    ModelInfo(
        title="FANet",
        year=2021,
        family="CNN",
        paper="https://arxiv.org/abs/2103.17235",
        code="nikhilroxtomar/FANet",
        licence="none stated",
        parameters=7_720_266,
    ),
)
class FANet(SegmentationModel):
    """FANet as released: four encoder and four decoder stages, each of which is shown a mask.

    A pass maps an image and a mask to logits. In evaluation mode `forward` makes `passes` of them: the first
    is shown Otsu's mask of the image, each other the mask that the one before predicted. In training mode it
    makes one, shown Otsu's mask; `outputs` takes the masks of earlier epochs instead, which
    `dermseg.training.feedback.MaskStore` keeps.

    Departures: MixPool's own mask is thresholded, so the parameters that make it, 0.98 of 7.72 million, get
    no gradient and keep their initial values, as in the release. Images are red, green, blue here and in the
    opposite order in the release: with released weights, reverse the channels of the image. Otsu's threshold
    is that of the blurred grey image; which side of it the release marks was not measured, here it is the
    brighter one, as in plain thresholding. The release stores masks as run lengths, which turns the first one
    on its side; that is no part of the method and not repeated.

    Args:
        width: Channels at full resolution; doubled at every halving. A multiple of 4.
        passes: Passes in evaluation mode, at most 100.

    Raises:
        ConfigError: If a value is impossible.
    """

    stride = 2**LEVELS
    release = Release(
        names=(
            *((rf"^encoder\.{stage}\.", f"e{stage + 1}.") for stage in range(LEVELS)),
            *((rf"^decoder\.{stage}\.", f"d{stage + 1}.") for stage in range(LEVELS)),
            (r"^head\.", "output."),
            (r"\.up\.", ".upsample."),
            *((rf"\.blocks\.{block}\.", f".r{block + 1}.") for block in range(2)),
            *((rf"\.body\.{3 * step}\.", f".conv{step + 1}.") for step in range(2)),
            *((rf"\.body\.{3 * step + 1}\.", f".bn{step + 1}.") for step in range(2)),
            (r"\.shortcut\.0\.", ".conv3."),
            (r"\.shortcut\.1\.", ".bn3."),
            (r"\.gate\.", ".se.fc."),
            (r"\.mix\.attention\.", ".p1.fmask."),
            (r"\.mix\.inside\.", ".p1.conv1."),
            (r"\.mix\.whole\.", ".p1.conv2."),
        ),
    )

    def __init__(self, width: int = 32, passes: int = 10) -> None:
        super().__init__()
        check_whole("width", width, multiple=4)
        check_whole("passes", passes, most=MOST_PASSES)
        self.passes = passes
        self.preprocessing = Preprocessing(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        widths = [width * 2**level for level in range(LEVELS)]
        self.encoder = nn.ModuleList(EncoderStage(*pair) for pair in pairwise([3, *widths]))
        self.decoder = nn.ModuleList(DecoderStage(given, given // 2) for given in reversed(widths))
        self.head = nn.Conv2d(width // 2 + 1, 1, 1)

    def first_masks(self, images: Tensor) -> Tensor:
        """Return Otsu's masks (B, 1, H, W), 0 or 1, of standardised images (B, 3, H, W)."""
        mean, std = (
            torch.tensor(values, device=images.device).view(1, 3, 1, 1)
            for values in (self.preprocessing.mean, self.preprocessing.std)
        )
        return otsu_masks(255 * (images.float() * std + mean)).to(images.dtype)

    def refine(self, images: Tensor, masks: Tensor) -> Tensor:
        """Make one pass.

        Args:
            images: (B, 3, H, W), standardised as `preprocessing` says.
            masks: (B, 1, H, W), 0 or 1, of any type: what an earlier pass predicted.

        Returns:
            Logits (B, 1, H, W).

        Raises:
            ConfigError: If a shape is wrong.
        """
        height, width = images.shape[-2:]
        wanted = (images.shape[0], 1, height, width)
        if masks.shape != wanted:
            raise ConfigError(f"masks must have shape {wanted}, as the images, got {tuple(masks.shape)}")
        return self._shown(self._padded(images), masks)

    def outputs(self, images: Tensor, masks: Tensor | None = None) -> Outputs:
        """Return the logits of one pass that is shown these masks; without masks, those of `forward`."""
        return Outputs(self(images) if masks is None else self.refine(images, masks))

    def forward(self, images: Tensor) -> Tensor:
        """Segment standardised images (B, 3, H, W); padding takes no part in any mask. See the base class."""
        padded = self._padded(images)
        logits = self._shown(padded, self.first_masks(images))
        # A probability above 0.5 is a logit above 0.
        for _ in range(0 if self.training else self.passes - 1):
            logits = self._shown(padded, logits > 0)
        return logits

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of 16, to logits (B, 1, H, W)."""
        logits: Tensor = self(images)
        return logits

    def _shown(self, padded: Tensor, masks: Tensor) -> Tensor:
        """Map padded images, and masks (B, 1, H, W) of the images before padding, to logits (B, 1, H, W)."""
        height, width = masks.shape[2:]
        shown = repeat_border(masks.to(padded.dtype), self.stride)
        return self._pass(padded, shown)[:, :, :height, :width]

    def _pass(self, images: Tensor, mask: Tensor) -> Tensor:
        """Map images and masks, sides multiples of 16, to logits."""
        masks = [mask]
        for _ in range(LEVELS - 1):
            masks.append(F.max_pool2d(masks[-1], 2))
        x, skips = images, []
        for stage, shown in zip(self.encoder, masks, strict=True):
            x, skip = stage(x, shown)
            skips.append(skip)
        for stage, skip, shown in zip(self.decoder, reversed(skips), reversed(masks), strict=True):
            x = stage(x, skip, shown)
        logits: Tensor = self.head(torch.cat([x, mask], dim=1))
        return logits


def _conv(given: int, width: int, kernel: int) -> list[nn.Module]:
    return [nn.Conv2d(given, width, kernel, padding=kernel // 2), nn.BatchNorm2d(width)]
