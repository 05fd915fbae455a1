"""How maps meet the xLSTM: over encoder levels (paper section 3.5, Eq 16), or over the rows of one map."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.layers.xlstm import XLSTM

INITIAL_BETA = 0.1
"""Weight of the xLSTM at the start: nearly a plain U-Net, yet with a gradient for the xLSTM from step one."""


class MultiLevelFusion(nn.Module):
    """Reads the encoder levels as a sequence and adds what the xLSTM makes of it to each level (Eq 16).

    At every cell of the coarsest grid, the levels form a sequence from fine to coarse: F^(l) is time step l
    (section 3.5.2). A level is normalised, averaged over each cell and projected to one width; the xLSTM's
    H^(l) is projected back and resized to the level:

        F_fusion^(l) = alpha_l F^(l) + beta_l H^(l),  alpha and beta learned per level.

    Both projections are linear per cell, so they run on the coarse grid, where they cost least: projecting
    before averaging, or after resizing, would give the same numbers.

    Args:
        widths: Channels of the levels, fine to coarse.
        width: Features per time step of the xLSTM.
        layers: Blocks of the xLSTM: "s", "m" or "sm".
        heads: Heads of every block.
        learned_scale: Learn alpha and beta; otherwise they stay as they start, which is what Eq 16 becomes
            without weights of its own (the projection back can still scale H).
    """

    def __init__(
        self, widths: Sequence[int], width: int, layers: str, heads: int, learned_scale: bool = True
    ) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for channels in widths)
        self.into = nn.ModuleList(nn.Linear(channels, width) for channels in widths)
        self.xlstm = XLSTM(width, layers, heads)
        self.back = nn.ModuleList(nn.Linear(width, channels) for channels in widths)
        self.alpha = nn.Parameter(torch.ones(len(widths)), requires_grad=learned_scale)
        self.beta = nn.Parameter(torch.full((len(widths),), INITIAL_BETA), requires_grad=learned_scale)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Map levels (B, H_l, W_l, C_l), sides whole multiples of the last level's, to the same shapes."""
        batch, height, width, _ = levels[-1].shape
        steps = [
            into(_cell_means(norm(level), height, width))
            for level, norm, into in zip(levels, self.norms, self.into, strict=True)
        ]
        sequences = torch.stack(steps, dim=3).flatten(0, 2)  # (B * height * width, levels, features)
        hidden = self.xlstm(sequences).unflatten(0, (batch, height, width))
        return [
            self.alpha[step] * level + self.beta[step] * _resized(back(hidden[:, :, :, step]), level)
            for step, (level, back) in enumerate(zip(levels, self.back, strict=True))
        ]


class RowFusion(nn.Module):
    """Reads the rows of one logit map from top to bottom as a sequence, and adds the xLSTM's correction.

    The released code seems to have meant this, but took the images of the batch for time. A row is averaged
    into a fixed number of columns, so that any image width fits; what the blocks change in it, that is their
    output less their input, is interpolated back and added. On maps as wide as `columns`, both steps are the
    identity, and the result is the xLSTM's output itself.

    Args:
        columns: Features per time step of the xLSTM.
        layers: Blocks of the xLSTM: "s", "m" or "sm".
        heads: Heads of every block.
    """

    def __init__(self, columns: int, layers: str, heads: int) -> None:
        super().__init__()
        self.columns = columns
        self.xlstm = XLSTM(columns, layers, heads)

    def forward(self, logits: Tensor) -> Tensor:
        """Map (B, 1, H, W) to the same shape."""
        rows = F.adaptive_avg_pool2d(logits, (logits.shape[2], self.columns)).squeeze(1)
        change = (self.xlstm(rows) - rows).unsqueeze(1)
        return logits + F.interpolate(change, size=logits.shape[2:], mode="bilinear", align_corners=False)


def _cell_means(level: Tensor, height: int, width: int) -> Tensor:
    """Average (B, H, W, C) over each of height x width equal cells."""
    batch, rows, columns, channels = level.shape
    cells = level.reshape(batch, height, rows // height, width, columns // width, channels)
    return cells.mean(dim=(2, 4))


def _resized(x: Tensor, like: Tensor) -> Tensor:
    """Resize (B, h, w, C) bilinearly to the height and width of `like`."""
    if x.shape[1:3] == like.shape[1:3]:
        return x
    maps = F.interpolate(x.permute(0, 3, 1, 2), size=like.shape[1:3], mode="bilinear", align_corners=False)
    return maps.permute(0, 2, 3, 1)
