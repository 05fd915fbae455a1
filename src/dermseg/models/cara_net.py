"""CaraNet: PraNet's successor, whose corrections look at reduced maps through a pyramid and axial attention.

Lou et al., "CaraNet: Context Axial Reverse Attention Network for Segmentation of Small Medical Objects",
doi 10.1117/12.2611802. Written from the paper and from measurements of the released network, which this one
equals in its default form.
"""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from dermseg.layers.axial_attention import AxialAttention
from dermseg.layers.channel_pyramid import ChannelPyramid, conv_norm_act
from dermseg.layers.checks import check_whole
from dermseg.layers.partial_decoder import PartialDecoder
from dermseg.layers.res2net import WIDTHS, Res2Net
from dermseg.layers.reverse_attention import ReverseAttention
from dermseg.models.base import Preprocessing
from dermseg.models.pra_net import ReverseAttentionNet
from dermseg.models.registry import ModelInfo, register_model
from dermseg.models.release import Release

WIDTH_STEP = 32
"""The pyramid divides its channels by 16 and needs an even number then."""


@register_model(
    "cara_net",
    ModelInfo(
        title="CaraNet",
        year=2022,
        family="CNN",
        paper="https://doi.org/10.1117/12.2611802",
        code="AngeLouCN/CaraNet",
        licence="none stated",
        parameters=46_642_560,
        dead=2_049_000,
    ),
)
class CaraNet(ReverseAttentionNet):
    """CaraNet as released: Res2Net-101, a partial decoder, and three steps of axial reverse attention.

    The last three stages of the encoder are reduced to `width` channels each; the partial decoder makes of
    them a map of logits at 1/8. At 1/32, 1/16 and 1/8 this map is corrected in turn by convolutions over the
    reduced map, which passed a channel-wise pyramid and axial attention and is weighted by 1 - sigmoid of the
    logits so far. `outputs` gives the last correction, then those at 1/16 and 1/32 and the partial decoder's
    map, each resized to the image's size: all four enter the training loss.

    Departures: the paper attends along the height and along the width. The release cuts the lines of the
    "height" from the rows, too: on square maps both passes attend along the rows, on other maps the lines
    of the first pass mix the axes, so that an image that is not square is better padded or resized to a
    square. The attention's weights are sigmoids, not a softmax. The partial decoder has neither
    normalisation nor activation. Dead in the release and not built: the encoder's ImageNet classifier.

    Args:
        width: Channels of the reduced maps, a multiple of 32.
        depths: Blocks per stage of the Res2Net.
        encoder_widths: Widths of its stages, even numbers of at least 4.
        pretrained: Download its ImageNet weights, which exist for the default depths and widths.

    Raises:
        ConfigError: If a value is impossible, or the ImageNet weights cannot be had.
    """

    # An export with free sides takes the two of a map for equal in its attention.
    exports_any_size = False

    release = Release(
        names=(
            (r"^encoder\.backbone\.", "resnet."),
            (r"\.norm_act\.norm\.", ".bn_relu.bn."),
            (r"\.norm_act\.act\.", ".bn_relu.acti."),
            *((rf"^reductions\.{level}\.", f"rfb{level + 2}_1.") for level in range(3)),
            *((rf"^pyramids\.{level}\.", f"CFP_{level + 1}.") for level in range(3)),
            *((rf"^attentions\.{level}\.", f"aa_kernel_{level + 1}.") for level in range(3)),
            *((rf"^refinements\.{level}\.correction\.", f"ra{level + 1}_") for level in range(3)),
            (r"^decoder\.up(\d)\.", r"agg1.conv_upsample\1.conv."),
            (r"^decoder\.join(\d)\.", r"agg1.conv_concat\1.conv."),
            (r"^decoder\.last\.", "agg1.conv4.conv."),
            (r"^decoder\.head\.", "agg1.conv5."),
            (r"\.enter\.", ".bn_relu_1."),
            (r"\.leave\.", ".bn_relu_2."),
            (r"(\.bn_relu_\d)\.norm\.", r"\1.bn."),
            (r"(\.bn_relu_\d)\.act\.", r"\1.acti."),
            (r"\.narrow\.", ".conv1x1_1."),
            (r"\.join\.", ".conv1x1.conv."),
            *((rf"\.branches\.{i}\.{j}\.", f".dconv_{i + 1}_{j + 1}.") for i in range(4) for j in range(3)),
            (r"(aa_kernel_\d\.conv\d)\.", r"\1.conv."),
            (r"\.height\.", ".Hattn."),
            (r"\.width\.", ".Wattn."),
            (r"\.(query|key|value)\.", r".\1_conv.conv."),
        ),
        dead=r"resnet\.fc\..*",
    )

    def __init__(
        self,
        width: int = 32,
        depths: Sequence[int] = (3, 4, 23, 3),
        encoder_widths: Sequence[int] = WIDTHS,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        check_whole("width", width, multiple=WIDTH_STEP)
        self.preprocessing = Preprocessing(size=352)
        self.encoder = Res2Net(depths, encoder_widths, pretrained)
        levels = range(len(self.encoder.channels))
        self.reductions = nn.ModuleList(conv_norm_act(given, width) for given in self.encoder.channels)
        self.decoder = PartialDecoder(width, _conv)
        self.pyramids = nn.ModuleList(ChannelPyramid(width) for _ in levels)
        self.attentions = nn.ModuleList(AxialAttention(width) for _ in levels)
        self.refinements = nn.ModuleList(ReverseAttention(_correction(width)) for _ in levels)

    def predictions(self, images: Tensor) -> list[Tensor]:
        """Return the logits at 1/8, 1/16 and 1/32, and those of the partial decoder."""
        maps = [reduce(x) for reduce, x in zip(self.reductions, self.encoder(images), strict=True)]
        predictions = [self.decoder(maps)]
        for level in (2, 1, 0):
            attended = self.attentions[level](self.pyramids[level](maps[level]))
            predictions.insert(0, self.refinements[level](attended, predictions[0]))
        return predictions


def _conv(width: int) -> nn.Conv2d:
    return nn.Conv2d(width, width, 3, padding=1, bias=False)


def _correction(width: int) -> nn.Sequential:
    widths = (width, width, width, 1)
    steps = enumerate(pairwise(widths), start=1)
    return nn.Sequential(OrderedDict((f"conv{step}", conv_norm_act(*pair)) for step, pair in steps))
