"""PraNet: a rough map of the lesion, corrected three times where it saw nothing.

Fan et al., "PraNet: Parallel Reverse Attention Network for Polyp Segmentation", arXiv 2006.11392. Written
from the paper and from measurements of the released network, which this one equals in its default form.
"""

from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dermseg.layers.checks import check_whole
from dermseg.layers.partial_decoder import PartialDecoder
from dermseg.layers.res2net import WIDTHS, Res2Net
from dermseg.layers.reverse_attention import ReverseAttention, resize
from dermseg.models.base import Outputs, Preprocessing, SegmentationModel
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.release import Release


def conv_norm(given: int, wanted: int, kernel: int | tuple[int, int], dilation: int = 1) -> nn.Sequential:
    """Return a convolution without bias that keeps the map's size, and batch normalisation."""
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (dilation * (height // 2), dilation * (width // 2))
    conv = nn.Conv2d(given, wanted, (height, width), padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(wanted)))


class ReceptiveField(nn.Module):
    """Four branches that see 1, 9, 15 and 21 pixels along each axis, joined, beside a shortcut.

    Args:
        given: Channels of the input.
        width: Channels of the output and of each branch.
    """

    def __init__(self, given: int, width: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(_branch(given, width, size) for size in (1, 3, 5, 7))
        self.join = conv_norm(len(self.branches) * width, width, 3)
        self.shortcut = conv_norm(given, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, given, H, W) to (B, width, H, W), not negative."""
        joined = self.join(torch.cat([branch(x) for branch in self.branches], dim=1))
        return torch.relu(joined + self.shortcut(x))


class ReverseAttentionNet(SegmentationModel):
    """A network of several predictions, each at its own resolution, of which the last is the result."""

    @abstractmethod
    def predictions(self, images: Tensor) -> list[Tensor]:
        """Map images (B, 3, H, W), H and W multiples of 32, to logits of any size, the last made first."""

    def forward_padded(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), H and W multiples of 32, to logits (B, 1, H, W)."""
        return resize(self.predictions(images)[0], images.shape[-2:])

    def outputs_padded(self, images: Tensor) -> Outputs:
        """Map images likewise to the logits and, auxiliary, those of all earlier predictions, last first."""
        logits, *auxiliary = (resize(x, images.shape[-2:]) for x in self.predictions(images))
        return Outputs(logits, tuple(auxiliary))


@register_model(
    "pra_net",
    ModelInfo(
        title="PraNet",
        year=2020,
        family="CNN",
        paper="https://arxiv.org/abs/2006.11392",
        code="DengPingFan/PraNet",
        licence="none stated; README: research and education only",
        parameters=32_547_319,
        dead=2_049_000,
    ),
)
class PraNet(ReverseAttentionNet):
    """PraNet as released: Res2Net-50, a partial decoder, and three steps of reverse attention.

    The last three stages of the encoder are reduced to `width` channels each; the partial decoder makes of
    them a map of logits at 1/8. At 1/32, 1/16 and 1/8 this map is corrected in turn by convolutions over the
    encoder's own map, weighted by 1 - sigmoid of the logits so far. `outputs` gives the last correction, then
    those at 1/16 and 1/32 and the partial decoder's map, each resized to the image's size: all four enter
    the training loss.

    Departures: in the release every convolution of the receptive fields, of the partial decoder and of the
    corrections holds a ReLU that is never called. One is applied at the end of a receptive field and after
    the middle convolutions of a correction, nowhere else. At test time the authors stretch each probability
    map to 0..1, which is no part of the network here. Dead in the release and not built: the encoder's
    ImageNet classifier.

    Args:
        width: Channels of the reduced maps; corrections at 1/32 have 8 times and the others twice as many.
        depths: Blocks per stage of the Res2Net.
        encoder_widths: Widths of its stages, even numbers of at least 4.
        pretrained: Download its ImageNet weights, which exist for the default depths and widths.

    Raises:
        ConfigError: If a value is impossible, or the ImageNet weights cannot be had.
    """

    release = Release(
        names=(
            (r"^encoder\.backbone\.", "resnet."),
            (r"\.norm\.", ".bn."),
            (r"\.branches\.(\d)\.", r".branch\1."),
            (r"\.join\.", ".conv_cat."),
            (r"\.shortcut\.", ".conv_res."),
            *((rf"^reductions\.{level}\.", f"rfb{level + 2}_1.") for level in range(3)),
            *((rf"^refinements\.{level}\.correction\.", f"ra{level + 2}_") for level in range(3)),
            (r"^decoder\.up(\d)\.", r"agg1.conv_upsample\1."),
            (r"^decoder\.join(\d)\.", r"agg1.conv_concat\1."),
            (r"^decoder\.last\.", "agg1.conv4."),
            (r"^decoder\.head\.", "agg1.conv5."),
        ),
        dead=r"resnet\.fc\..*",
    )

    def __init__(
        self,
        width: int = 32,
        depths: Sequence[int] = (3, 4, 6, 3),
        encoder_widths: Sequence[int] = WIDTHS,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        check_whole("width", width)
        self.preprocessing = Preprocessing(size=352)
        self.encoder = Res2Net(depths, encoder_widths, pretrained)
        fine, middle, coarse = self.encoder.channels
        self.reductions = nn.ModuleList(ReceptiveField(given, width) for given in self.encoder.channels)
        self.decoder = PartialDecoder(width, lambda channels: conv_norm(channels, channels, 3))
        corrections = (
            _correction(fine, 2 * width, steps=2, kernel=3, last=3),
            _correction(middle, 2 * width, steps=2, kernel=3, last=3),
            _correction(coarse, 8 * width, steps=3, kernel=5, last=1),
        )
        self.refinements = nn.ModuleList(map(ReverseAttention, corrections))

    def predictions(self, images: Tensor) -> list[Tensor]:
        """Return the logits at 1/8, 1/16 and 1/32, and those of the partial decoder."""
        maps = self.encoder(images)
        reduced = [reduce(x) for reduce, x in zip(self.reductions, maps, strict=True)]
        predictions = [self.decoder(reduced)]
        for level in (2, 1, 0):
            predictions.insert(0, self.refinements[level](maps[level], predictions[0]))
        return predictions


def _branch(given: int, width: int, size: int) -> nn.Sequential:
    """Return a 1x1 convolution and, for sizes above 1, a row, a column and a dilated square."""
    layers = [conv_norm(given, width, 1)]
    if size > 1:
        layers += [conv_norm(width, width, (1, size)), conv_norm(width, width, (size, 1))]
        layers += [conv_norm(width, width, 3, dilation=size)]
    return nn.Sequential(*layers)


def _correction(given: int, width: int, steps: int, kernel: int, last: int) -> nn.Sequential:
    """Return a reduction to `width` channels, `steps` convolutions with ReLU, and one to a single channel."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv1=conv_norm(given, width, 1))
    for step in range(2, steps + 2):
        layers[f"conv{step}"] = conv_norm(width, width, kernel)
        layers[f"relu{step}"] = nn.ReLU()
    layers[f"conv{steps + 2}"] = conv_norm(width, 1, last)
    return nn.Sequential(layers)
