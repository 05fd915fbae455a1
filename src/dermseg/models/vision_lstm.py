"""Vision-LSTM as an encoder: a column of ViL blocks over image patches, without its classifier.

Alkin et al., "Vision-LSTM: xLSTM as Generic Vision Backbone", arXiv 2406.04303. Written anew from the paper
and from facts on the released network `VisionLSTM` (version 1, ViL-T), which this one equals.
"""

import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.layers.checks import check_whole
from dermseg.layers.vil import BLOCK, ViLBlock
from dermseg.models.release import Release, Table

PATCH = 16
"""Side of a patch in pixels."""
NAMES: Table = (
    (r"\.layer\.in_proj\.", ".layer.proj_up."),
    (r"\.layer\.out_proj\.", ".layer.proj_down."),
    (r"\.layer\.conv\.", ".layer.conv1d.conv."),
    (r"\.layer\.W_([qkv])\.", r".layer.\1_proj."),
    (r"\.layer\.W_([if])\.", r".layer.mlstm_cell.\1gate."),
    (r"\.layer\.scale$", ".layer.mlstm_cell.outnorm.weight"),
    (r"\.layer\.skip$", ".layer.learnable_skip"),
)
"""From our names inside a ViL block to those of its authors."""
LESS_ONE = r"^legacy_norm\.weight$|(^blocks\.\d+|\.vil)\.norm\.weight$|\.outnorm\.weight$"
"""Released names of scales that are kept less 1."""


def whole_scales(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add to the released scales the 1 that they are kept without, in a precision that keeps their digits."""
    return {key: value.double() + 1 if re.search(LESS_ONE, key) else value for key, value in tensors.items()}


class ViL(nn.Module):
    """Vision-LSTM, version 1: patches of 16x16 pixels, read row by row from either end, by turns.

    Stages: a linear map of every patch plus a learned position; blocks that each add to the tokens what an
    mLSTM makes of them, the first reading from the top left, the second from the bottom right, and so on; two
    LayerNorms. The map keeps one resolution throughout; `dermseg.models.vil_encoder` makes four of it.

    Departures: the release ends in a classifier on the mean of the first and the last token, which is not
    built. Its first LayerNorm at the end does little before the second; the authors kept it for weights that
    were trained with it.

    `dermseg.models.released.load_released` takes the authors' weights.

    Args:
        width: Channels; a multiple of 4. The default is that of ViL-T.
        depth: Blocks.
        grid: Patches along each side of the images that the positions are learned for; for other sizes the
            positions are resized bicubically.

    Raises:
        ConfigError: If the width is no multiple of 4, or depth or grid is below 1.
    """

    release = Release(
        (
            (r"^patch_embed\.", "patch_embed.proj."),
            (r"^position\.embedding$", "pos_embed.embed"),
            (r"^first_norm\.", "legacy_norm."),
            *NAMES,
        ),
        dead=r"head\..*",
        convert=whole_scales,
    )

    def __init__(self, width: int = 192, depth: int = 24, grid: int = 16) -> None:
        super().__init__()
        check_whole("width", width, multiple=BLOCK)
        check_whole("depth", depth)
        check_whole("grid", grid)
        self.patch_embed = nn.Conv2d(3, width, PATCH, stride=PATCH)
        nn.init.xavier_uniform_(self.patch_embed.weight.flatten(1))
        self.patch_embed.bias = nn.Parameter(torch.zeros(width))
        self.position = Position(width, grid)
        self.blocks = nn.ModuleList(ViLBlock(width, backwards=place % 2 == 1) for place in range(depth))
        self.first_norm = nn.LayerNorm(width, bias=False)
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, 3, H, W), sides multiples of 16, to features (B, H/16, W/16, width)."""
        return self.depths(images, 1)[0]

    def depths(self, images: Tensor, count: int) -> list[Tensor]:
        """Return the features at several depths, the last of them those of `forward`.

        Args:
            images: (B, 3, H, W), sides multiples of 16.
            count: Parts that the blocks are divided into, at most as many as there are blocks.

        Returns:
            The tokens after each part, (B, H/16, W/16, width), normalised after the last part alone.
        """
        x = self.position(self.patch_embed(images).permute(0, 2, 3, 1))
        tokens, features = x.flatten(1, 2), []
        ends = {len(self.blocks) * (part + 1) // count for part in range(count)}
        for number, block in enumerate(self.blocks, start=1):
            tokens = block(tokens)
            if number in ends:
                features.append(tokens)
        features[-1] = self.norm(self.first_norm(tokens))
        return [each.reshape(x.shape) for each in features]


class Position(nn.Module):
    """Adds to every token what was learned for its place.

    Args:
        width: Features of a token.
        grid: Tokens along each side of the map that the places are learned for.
    """

    def __init__(self, width: int, grid: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(1, grid, grid, width))
        nn.init.trunc_normal_(self.embedding, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, width) to the same shape."""
        if x.shape[1:] == self.embedding.shape[1:]:
            return x + self.embedding
        places = F.interpolate(self.embedding.permute(0, 3, 1, 2), size=x.shape[1:3], mode="bicubic")
        return x + places.permute(0, 2, 3, 1)
