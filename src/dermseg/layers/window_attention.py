"""Self-attention inside windows of a map, and the Swin Transformer block around it. Maps are (B, H, W, C).

Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV 2021,
arXiv 2103.14030, sections 3.2 and 3.3.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import StochasticDepth

MASKED = -100.0
"""Added to the score of two tokens that may not see each other, as in the release: e^-100 of the others."""


class WindowAttention(nn.Module):
    """Multi-head self-attention among the tokens of each square window, with a learned bias per offset.

    Maps of any size are served. A map that windows do not divide is filled up at the bottom and on the right,
    and no token sees what was filled in. Shifted windows wrap around the border, and no token sees across it.
    Along an axis that a single window spans nothing is shifted.

    Args:
        width: Channels.
        heads: Attention heads; must divide `width`.
        window: Side of a window, in tokens.
        shift: Tokens by which the windows are moved down and to the right, less than `window`.
    """

    offsets: Tensor

    def __init__(self, width: int, heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.shift = shift
        self.qkv = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        self.register_buffer("offsets", _offsets(window), persistent=False)
        nn.init.trunc_normal_(self.bias_table, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, width) to the same shape."""
        rows, columns = x.shape[1:3]
        below, right = -rows % self.window, -columns % self.window
        down, across = (self.shift if side > self.window else 0 for side in (rows, columns))
        filled = F.pad(x, (0, 0, 0, right, 0, below)).roll((-down, -across), dims=(1, 2))
        mask = None
        if below or right or down or across:
            part = 3 * _parts(rows, below, down, x.device)[:, None] + _parts(columns, right, across, x.device)
            part = _cut(part[None, :, :, None], self.window)[0, :, :, 0]
            mask = MASKED * (part[:, :, None] != part[:, None, :]).to(x.dtype)
        attended = self._attend(_cut(filled, self.window), mask)
        joined = _join(attended, rows + below, columns + right, self.window)
        return joined.roll((down, across), dims=(1, 2))[:, :rows, :columns]

    def _attend(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """Attend within windows (B, windows, tokens, width); the mask is (windows, tokens, tokens)."""
        q, k, v = self.qkv(windows).unflatten(-1, (3, self.heads, -1)).permute(3, 0, 1, 4, 2, 5)
        scores = q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1) + self.bias_table[self.offsets].permute(
            2, 0, 1
        )
        if mask is not None:
            scores = scores + mask[:, None]
        attended: Tensor = self.projection((scores.softmax(-1) @ v).transpose(2, 3).flatten(3))
        return attended


class SwinBlock(nn.Module):
    """x + DropPath(WindowAttention(LayerNorm x)), then x + DropPath(MLP(LayerNorm x)).

    Args:
        width: Channels; the hidden layer of the MLP has four times as many.
        heads: Attention heads.
        window: Side of a window, in tokens.
        shift: Tokens by which the windows are shifted.
        drop_path: Probability with which training skips a branch, drawn per image.
    """

    def __init__(self, width: int, heads: int, window: int, shift: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = WindowAttention(width, heads, window, shift)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.drop_path = StochasticDepth(drop_path, mode="row")

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, width) to the same shape."""
        x = x + self.drop_path(self.attention(self.attention_norm(x)))
        y: Tensor = x + self.drop_path(self.mlp(self.mlp_norm(x)))
        return y


def _offsets(window: int) -> Tensor:
    """Row of the bias table for each pair of tokens: how far the first is below and right of the second."""
    places = torch.arange(window)
    rows, columns = (axis.flatten() for axis in torch.meshgrid(places, places, indexing="ij"))
    below = rows[:, None] - rows + window - 1
    right = columns[:, None] - columns + window - 1
    return (2 * window - 1) * below + right


def _parts(size: int, filled: int, shift: int, device: torch.device) -> Tensor:
    """Number, for each place of a shifted axis, of the part it belongs to; parts do not see each other.

    0 is what stayed in place, 1 what wrapped around, 2 what was filled in.
    """
    token = torch.arange(size + filled, device=device).roll(-shift)
    return (token < shift).long() + 2 * (token >= size).long()


def _cut(x: Tensor, window: int) -> Tensor:
    """Divide a map (B, H, W, C) into windows (B, windows, tokens, C)."""
    batch, height, width, channels = x.shape
    cells = x.view(batch, height // window, window, width // window, window, channels)
    return cells.transpose(2, 3).reshape(batch, -1, window * window, channels)


def _join(windows: Tensor, height: int, width: int, window: int) -> Tensor:
    """Put windows (B, windows, tokens, C) together to a map (B, height, width, C)."""
    batch, _, _, channels = windows.shape
    cells = windows.view(batch, height // window, width // window, window, window, channels)
    return cells.transpose(2, 3).reshape(batch, height, width, channels)
