"""The block of Vision-LSTM: an mLSTM over tokens, between an up- and a down-projection.

Alkin et al., "Vision-LSTM: xLSTM as Generic Vision Backbone", arXiv 2406.04303; the memory is that of Beck
et al., "xLSTM", arXiv 2405.04517. Written anew from the papers and from facts on the released layer, which
this one equals. It differs from `xlstm.MLSTMBlock` in that queries, keys and values mix only neighbouring
channels, the gates see all three of them, and no output gate precedes the normalisation.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.layers.checks import check_whole
from dermseg.ops.mlstm import mlstm

HEADS = 4
"""Memories side by side."""
BLOCK = 4
"""Neighbouring channels that a query, a key or a value is made of."""
KERNEL = 4
"""Tokens that the convolution sees: the present one and three before it."""


class ViLBlock(nn.Module):
    """Adds to the tokens what a ViL layer makes of them, normalised.

    Args:
        width: Features of a token; a multiple of 4.
        backwards: Whether the tokens are read from last to first.

    Raises:
        ConfigError: If the width is no multiple of 4.
    """

    def __init__(self, width: int, *, backwards: bool = False) -> None:
        super().__init__()
        self.backwards = backwards
        self.norm = nn.LayerNorm(width, bias=False)
        self.layer = ViLLayer(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, L, width) to the same shape."""
        normed = self.norm(tokens)
        mixed: Tensor = self.layer(normed.flip(1)).flip(1) if self.backwards else self.layer(normed)
        return tokens + mixed


class ViLLayer(nn.Module):
    """Mixes tokens from first to last; a token is influenced by itself and those before it alone.

    Two branches leave one linear layer. One passes a causal depthwise convolution and SiLU to become queries
    and keys, and unconvolved the values, of an mLSTM; the other, through SiLU, gates what is retrieved.

    The release adds 1e-6 to the memory's divisor, which is left out here. The normalisation that follows
    undoes a common factor of a head; a trace would remain only where divisor and retrieved values are both
    tiny.

    Args:
        width: Features of a token, d; a multiple of 4. The memory has 2d channels.

    Raises:
        ConfigError: If the width is no multiple of 4.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        check_whole("the width of a ViL layer", width, multiple=BLOCK)
        inner = 2 * width
        self.in_proj = nn.Linear(width, 2 * inner, bias=False)
        self.conv = nn.Conv1d(inner, inner, KERNEL, groups=inner)
        self.W_q = BlockDiagonal(inner)
        self.W_k = BlockDiagonal(inner)
        self.W_v = BlockDiagonal(inner)
        self.W_i = nn.Linear(3 * inner, HEADS)
        self.W_f = nn.Linear(3 * inner, HEADS)
        self.scale = nn.Parameter(torch.ones(inner))
        self.skip = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, width, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the projections; the gates do not depend on the input yet, and forget slowly."""
        width = self.in_proj.in_features
        for projection in (self.in_proj, self.W_q, self.W_k, self.W_v):
            nn.init.normal_(projection.weight, std=math.sqrt(2 / (5 * width)))
        nn.init.normal_(self.out_proj.weight, std=2 / math.sqrt(width))
        nn.init.zeros_(self.W_i.weight)
        nn.init.normal_(self.W_i.bias, std=0.1)
        nn.init.zeros_(self.W_f.weight)
        with torch.no_grad():
            self.W_f.bias.copy_(torch.linspace(3.0, 6.0, HEADS))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, L, width) to the same shape."""
        stored, gate = self.in_proj(tokens).chunk(2, dim=-1)
        past = F.pad(stored.transpose(1, 2), (KERNEL - 1, 0))
        recent = F.silu(self.conv(past).transpose(1, 2))
        q, k, v = self.W_q(recent), self.W_k(recent), self.W_v(stored)
        seen = torch.cat([q, k, v], dim=-1)
        q, k, v = (x.reshape(*x.shape[:2], HEADS, -1) for x in (q, k, v))
        k = k / math.sqrt(k.shape[-1])
        retrieved, _ = mlstm(q, k, v, self.W_i(seen), self.W_f(seen), final_state=False)
        normed = F.layer_norm(retrieved, retrieved.shape[-1:]).flatten(2)
        mixed: Tensor = self.out_proj((self.scale * normed + self.skip * recent) * F.silu(gate))
        return mixed


class BlockDiagonal(nn.Module):
    """Linear map without bias in which a channel sees its block of four neighbours alone.

    Args:
        channels: Of input and result; a multiple of 4.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels // BLOCK, BLOCK, BLOCK))
        nn.init.normal_(self.weight, std=math.sqrt(2 / (5 * BLOCK)))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., channels) to the same shape; `weight` is by block, result and input."""
        blocks = x.reshape(*x.shape[:-1], -1, BLOCK)
        return torch.einsum("...bi,boi->...bo", blocks, self.weight).flatten(-2)
