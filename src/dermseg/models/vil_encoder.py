"""Vision-LSTM in place of the VSS encoder: a column of one resolution, made into levels of four."""

from collections.abc import Sequence

from torch import Tensor, nn

from dermseg.layers.patch import PatchEmbed, PatchExpand
from dermseg.models.vision_lstm import ViL
from dermseg.models.vm_unet import STAGES, EncoderMaps

WIDTHS = {"vil_tiny": 192, "vil_small": 384, "vil_base": 768}
"""Channels of the sizes that the authors of Vision-LSTM trained, by the name that chooses one."""
DEPTH = 24
"""Blocks of every size."""
GRID = 14
"""Patches along each side of the 224x224 images that they trained for."""


class ViLEncoder(nn.Module):
    """Vision-LSTM, read off at four depths and resampled to 1/4, 1/8, 1/16 and 1/32 of the image.

    The levels are what the first quarter of the blocks made of the image, the first half, three quarters and
    all of them, so that each knows more than the finer ones, as in a hierarchical encoder. All are at 1/16.
    Linear maps of each token make 4x4 and 2x2 pixels of the first two; the third keeps its size, and in the
    last each 2x2 tokens become one. (Li et al., arXiv 2203.16527, resample a plain Vision Transformer to the
    same four sizes, but all from its last map.)

    `dermseg.models.released.load_released` fills it with the authors' ImageNet weights.

    Args:
        name: One of `WIDTHS`.
        widths: Channels of the four maps given out, fine to coarse.
    """

    def __init__(self, name: str, widths: Sequence[int]) -> None:
        super().__init__()
        given = WIDTHS[name]
        first, second, third, last = widths
        self.backbone = ViL(given, DEPTH, GRID)
        self.enlarge = nn.ModuleList((PatchExpand(given, first, 4), PatchExpand(given, second, 2)))
        self.reduce = nn.ModuleList((PatchEmbed(third, 1, given), PatchEmbed(last, 2, given)))

    def forward(self, images: Tensor) -> EncoderMaps:
        """Map images (B, 3, H, W), sides multiples of 32, to four maps; stage inputs are not given."""
        maps = self.backbone.depths(images, STAGES)
        fine = [enlarge(x) for enlarge, x in zip(self.enlarge, maps[:2], strict=True)]
        coarse = [reduce(x.permute(0, 3, 1, 2)) for reduce, x in zip(self.reduce, maps[2:], strict=True)]
        return EncoderMaps([], fine + coarse)
