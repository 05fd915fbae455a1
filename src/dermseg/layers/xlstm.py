"""xLSTM blocks of section 3.4: sLSTM (Eqs 6-10), mLSTM (Eqs 11-12), and their stack.

Equation numbers are those of the XLSTM-VMUNet paper. Its Eqs 14-15 state the gates a second time, in plain
LSTM form (sigmoid input and forget gates, h = o tanh(c), no normaliser), which contradicts Eqs 6-12. We
follow Eqs 6-12 and the paper they come from (xLSTM, arXiv 2405.04517), which also settles what the equations
leave open: where the normalisation, the convolution, the skip and the second branch of a block stand.

Every block maps (batch, T, width) to the same shape. Elements of a batch are sequences of their own: no state
passes from one to another, and every sequence starts from an empty memory.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dermseg.errors import ConfigError
from dermseg.layers.group_norm import GroupNorm
from dermseg.ops.mlstm import mlstm
from dermseg.ops.slstm import slstm

KERNEL = 4  # time steps under the causal convolution
VERSIONS = ("", "s", "m", "sm")
"""Blocks in order: versions 1 to 4 of the paper's Table 2."""


def check_layers(layers: str) -> None:
    """Refuse what is none of `VERSIONS`.

    Raises:
        ConfigError: If it is none.
    """
    if layers not in VERSIONS:
        choices = ", ".join(map(repr, VERSIONS))
        raise ConfigError(f"xlstm_layers={layers!r} is unknown; choose one of: {choices}")


class XLSTM(nn.Sequential):
    """Stack of xLSTM blocks; the four values of `layers` are the paper's versions 1 to 4 (Table 2).

    Args:
        width: Features per time step.
        layers: Blocks in order: "" (none: the identity, without parameters), "s", "m" or "sm".
        heads: Heads of every block; must divide `width`.

    Raises:
        ConfigError: If `layers` is none of the four, or `heads` does not divide `width`.
    """

    def __init__(self, width: int, layers: str = "sm", heads: int = 4) -> None:
        check_layers(layers)
        blocks = {"s": SLSTMBlock, "m": MLSTMBlock}
        super().__init__(*(blocks[letter](width, heads) for letter in layers))


class SLSTMBlock(nn.Module):
    """Scalar memory with recurrent weights, then a gated up- and down-projection (Eqs 6-10).

    The input and forget gates see a few past steps through a causal convolution along time; z and o see the
    present step alone.

    Args:
        width: Features per time step.
        heads: Blocks of the recurrent weights; must divide `width`.

    Raises:
        ConfigError: If `heads` does not divide `width`.
    """

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        head_dim = _head_dim(width, heads)
        inner = width * 4 // 3
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.convolution = CausalConvolution(width)
        self.W_z = nn.Linear(width, width)
        self.W_i = nn.Linear(width, width)
        self.W_f = nn.Linear(width, width)
        self.W_o = nn.Linear(width, width)
        self.R = nn.Parameter(torch.empty(4, heads, head_dim, head_dim))
        self.head_norm = GroupNorm(heads, width)
        self.up_left = nn.Linear(width, inner)
        self.up_right = nn.Linear(width, inner)
        self.down = nn.Linear(inner, width)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start near the identity, with gates that hardly depend on the input yet."""
        _start_small(self.W_i, self.W_f, self.down)
        nn.init.trunc_normal_(self.R, std=0.02)
        # The forget gate is exponential and c is divided by n: at bias 0 a unit averages all steps alike, at
        # -1 a step weighs 1/e of the next, and a positive bias would let the first step drown the others.
        with torch.no_grad():
            spread = torch.linspace(-1.0, 0.0, self.R.shape[-1])
            self.W_f.bias.copy_(spread.repeat(self.heads))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, T, width) to the same shape."""
        normed = self.norm(x)
        recent = F.silu(self.convolution(normed))
        gates = torch.stack((self.W_z(normed), self.W_i(recent), self.W_f(recent), self.W_o(normed)), dim=2)
        h, _ = slstm(_split(gates, self.heads), self.R)  # Eqs 6-8
        h = _normalise_heads(self.head_norm, h)
        y: Tensor = self.down(self.up_left(h) * F.gelu(self.up_right(h)))  # Eq 9
        return y + x  # Eq 10


class MLSTMBlock(nn.Module):
    """Matrix memory between an up- and a down-projection (Eqs 11-12).

    The up-projection doubles the width, once for the memory and once for a branch that gates its output.
    Queries, keys and gates see a few past steps through a causal convolution along time; values and the
    output gate see the present step alone.

    Args:
        width: Features per time step.
        heads: Memories side by side, each with one scalar input gate and one scalar forget gate; must
            divide `width`.

    Raises:
        ConfigError: If `heads` does not divide `width`.
    """

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        _head_dim(width, heads)
        inner = 2 * width
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.up_left = nn.Linear(width, inner)
        self.up_right = nn.Linear(width, inner)
        self.convolution = CausalConvolution(inner)
        self.W_q = nn.Linear(inner, inner)
        self.W_k = nn.Linear(inner, inner)
        self.W_v = nn.Linear(inner, inner)
        self.W_i = nn.Linear(inner, heads)
        self.W_f = nn.Linear(inner, heads)
        self.W_o = nn.Linear(inner, inner)
        self.skip = nn.Parameter(torch.ones(inner))
        self.head_norm = GroupNorm(heads, inner)
        self.down = nn.Linear(inner, width)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start near the identity, with gates that hardly depend on the input yet and long memories."""
        _start_small(self.W_i, self.W_f, self.down)
        # The forget gate is a sigmoid: from 3 to 6, a step loses half its weight after 14 to 280 steps.
        with torch.no_grad():
            self.W_f.bias.copy_(torch.linspace(3.0, 6.0, self.heads))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, T, width) to the same shape."""
        normed = self.norm(x)
        left = self.up_left(normed)
        recent = F.silu(self.convolution(left))
        q = _split(self.W_q(recent), self.heads)  # Eq 12
        k = _split(self._key(recent), self.heads)  # Eq 11
        v = _split(self.W_v(left), self.heads)  # Eq 11
        retrieved, _ = mlstm(q, k, v, self.W_i(recent), self.W_f(recent), final_state=False)  # Eqs 11-12
        h = torch.sigmoid(_split(self.W_o(left), self.heads)) * retrieved  # Eq 12
        h = _normalise_heads(self.head_norm, h) + self.skip * recent
        y: Tensor = self.down(h * F.silu(self.up_right(normed)))
        return y + x

    def _key(self, x: Tensor) -> Tensor:
        """W_k x / √d + b_k: Eq 11 does not divide the bias."""
        head_dim = self.W_k.out_features // self.heads
        return F.linear(x, self.W_k.weight / math.sqrt(head_dim), self.W_k.bias)


class CausalConvolution(nn.Module):
    """Convolution along time, one filter per channel, that sees the present and the steps before it.

    Before the first step there are zeros.

    Args:
        channels: Number of channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(KERNEL)  # as nn.Conv1d starts
        self.weight = nn.Parameter(torch.empty(KERNEL, channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, T, channels) to the same shape; `weight[-1]` meets the present step."""
        T = x.shape[1]
        padded = F.pad(x, (0, 0, KERNEL - 1, 0))
        # Four shifted products leave the channels last; nn.Conv1d would transpose there and back.
        convolved: Tensor = self.bias
        for step in range(KERNEL):
            convolved = torch.addcmul(convolved, self.weight[step], padded[:, step : step + T])
        return convolved


def _head_dim(width: int, heads: int) -> int:
    if heads < 1 or width % heads:
        raise ConfigError(f"xLSTM heads={heads} must divide its width of {width}")
    return width // heads


def _start_small(*projections: nn.Linear) -> None:
    for projection in projections:
        nn.init.trunc_normal_(projection.weight, std=0.02)
        nn.init.zeros_(projection.bias)


def _split(x: Tensor, heads: int) -> Tensor:
    """Split the last axis into (heads, head_dim)."""
    return x.reshape(*x.shape[:-1], heads, -1)


def _normalise_heads(norm: nn.GroupNorm, h: Tensor) -> Tensor:
    """Normalise (batch, T, heads, head_dim) over head_dim, per step; return (batch, T, heads * head_dim)."""
    normed: Tensor = norm(h.flatten(0, 1).flatten(1))
    return normed.reshape(*h.shape[:2], -1)
