"""The xLSTM of XLSTM-VMUNet as its authors released it, which is not the one their paper describes.

It exists to load released checkpoints and to measure what the differences do; `xlstm.py` is what the paper
says. Written from measurements of the released network, which it equals to rounding. Kept on purpose:

- Time is the *images of a batch*: image t is changed by the images before it. The batch axis of the LSTM is
  the image's rows, and a feature is one of exactly 256 columns.
- The "causal convolution" runs along the features (columns, or their 512 projections), one filter for all.
- sLSTM: z and o read the raw input, i and f the normalised and convolved one. Every gate has two biases.
- mLSTM: the memory is a vector, gates are vectors, and the divisor, one per feature, sums over the rows, so
  the rows of an image influence each other; it has no floor of 1. The 1/√d divides the keys' bias too.
- One head. The stabiliser starts at 0 although there is no past: a forget gate that exceeds the input gate by
  more than about 104 before activation gives NaN.

What it does not keep: states on the CPU, copied at every step.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dermseg.errors import ConfigError
from dermseg.layers.xlstm import check_layers
from dermseg.ops import checks
from dermseg.ops.slstm import SLSTMState, slstm

COLUMNS = 256
HIDDEN = 64
KERNEL = 4


class ReleasedXLSTM(nn.Module):
    """Stack of released xLSTM blocks over a batch of logit maps.

    Args:
        layers: Blocks in order: "" (none), "s", "m" or "sm".

    Raises:
        ConfigError: If `layers` is none of the four.
    """

    def __init__(self, layers: str = "sm") -> None:
        super().__init__()
        check_layers(layers)
        blocks: dict[str, type[nn.Module]] = {"s": ReleasedSLSTMBlock, "m": ReleasedMLSTMBlock}
        self.layers = nn.ModuleList(blocks[letter]() for letter in layers)

    def released_keys(self) -> dict[str, str]:
        """Key of every parameter in the authors' checkpoints, after `xLSTM.`, by our own key."""
        keys = {}
        for number, block in enumerate(self.layers):
            names = RELEASED_LAYERS[type(block)]
            for key in block.state_dict():
                layer, kind = key.split(".")
                keys[f"layers.{number}.{key}"] = f"layers.{number}.{names[layer]}.{kind}"
        return keys

    def forward(self, x: Tensor) -> Tensor:
        """Map (images, rows, 256) to the same shape; each image depends on those before it.

        Raises:
            ConfigError: If the maps are not 256 columns wide.
        """
        if x.shape[-1] != COLUMNS:
            raise ConfigError(
                f"the released xLSTM works on images {COLUMNS} pixels wide, not {x.shape[-1]}; "
                "resize them, or choose another fusion"
            )
        for layer in self.layers:
            x = layer(x)
        return x


class ReleasedSLSTMBlock(nn.Module):
    """Eqs 6-10 with the departures listed at the top of this file."""

    def __init__(self) -> None:
        super().__init__()
        inner = HIDDEN * 4 // 3
        self.norm = nn.LayerNorm(COLUMNS)
        self.convolution = nn.Conv1d(1, 1, KERNEL)
        self.W_z = nn.Linear(COLUMNS, HIDDEN)
        self.W_i = nn.Linear(COLUMNS, HIDDEN)
        self.W_f = nn.Linear(COLUMNS, HIDDEN)
        self.W_o = nn.Linear(COLUMNS, HIDDEN)
        self.R_z = nn.Linear(HIDDEN, HIDDEN)
        self.R_i = nn.Linear(HIDDEN, HIDDEN)
        self.R_f = nn.Linear(HIDDEN, HIDDEN)
        self.R_o = nn.Linear(HIDDEN, HIDDEN)
        self.output_norm = nn.GroupNorm(1, HIDDEN)
        self.up_left = nn.Linear(HIDDEN, inner)
        self.up_right = nn.Linear(HIDDEN, inner)
        self.down = nn.Linear(inner, COLUMNS)

    def forward(self, x: Tensor) -> Tensor:
        """Map (images, rows, 256) to the same shape."""
        recent = F.silu(_convolve_features(self.convolution, self.norm(x)))
        recurrent = (self.R_z, self.R_i, self.R_f, self.R_o)
        gates = torch.stack((self.W_z(x), self.W_i(recent), self.W_f(recent), self.W_o(x)), dim=-2)
        gates = gates + torch.stack([linear.bias for linear in recurrent])
        R = torch.stack([linear.weight for linear in recurrent])
        # Rows are the LSTM's batch, images its time, and there is one head.
        start = SLSTMState(*gates.new_zeros(4, x.shape[1], 1, HIDDEN))
        h, _ = slstm(gates.transpose(0, 1).unsqueeze(3), R.unsqueeze(1), start)
        h = _normalise(self.output_norm, h.squeeze(2).transpose(0, 1))
        y: Tensor = self.down(self.up_left(h) * F.gelu(self.up_right(h)))
        return y + x


class ReleasedMLSTMBlock(nn.Module):
    """Eqs 11-12 with the departures listed at the top of this file."""

    def __init__(self) -> None:
        super().__init__()
        inner = 2 * COLUMNS
        self.norm = nn.LayerNorm(COLUMNS)
        self.up_left = nn.Linear(COLUMNS, inner)
        self.up_right = nn.Linear(COLUMNS, HIDDEN)
        self.convolution = nn.Conv1d(1, 1, KERNEL)
        self.W_q = nn.Linear(inner, HIDDEN)
        self.W_k = nn.Linear(inner, HIDDEN)
        self.W_v = nn.Linear(inner, HIDDEN)
        self.W_i = nn.Linear(inner, HIDDEN)
        self.W_f = nn.Linear(inner, HIDDEN)
        self.W_o = nn.Linear(inner, HIDDEN)
        self.skip = nn.Linear(inner, HIDDEN)
        self.output_norm = nn.GroupNorm(1, HIDDEN)
        self.down = nn.Linear(HIDDEN, COLUMNS)

    def forward(self, x: Tensor) -> Tensor:
        """Map (images, rows, 256) to the same shape."""
        normed = self.norm(x)
        left = self.up_left(normed)
        recent = F.silu(_convolve_features(self.convolution, left))
        q, k, v = self.W_q(recent), self.W_k(recent) / math.sqrt(HIDDEN), self.W_v(left)
        h = torch.sigmoid(self.W_o(left)) * _vector_memory(q, k, v, self.W_i(recent), self.W_f(recent))
        h = _normalise(self.output_norm, h) + self.skip(recent)
        y: Tensor = self.down(h * F.silu(self.up_right(normed)))
        return y + x


def _vector_memory(q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor) -> Tensor:
    """Run the released memory over the images; every tensor is (images, rows, 64).

    Half precision, also that of autocast, is computed in float32.
    """
    dtype = checks.computing_dtype(q, k, v, i, f)
    with torch.autocast(q.device.type, enabled=False):
        inputs = (tensor.to(dtype) for tensor in (q, k, v, i, f))
        return _remember(*inputs).to(q.dtype)


def _remember(q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor) -> Tensor:
    c = n = m = torch.zeros_like(q[0])
    retrieved = []
    for t in range(q.shape[0]):
        m_new = torch.maximum(f[t] + m, i[t])
        i_gate, f_gate = torch.exp(i[t] - m_new), torch.exp(f[t] + m - m_new)
        c = f_gate * c + i_gate * (v[t] * k[t])
        n = f_gate * n + i_gate * k[t]
        m = m_new
        divisor = (n.mT @ q[t]).abs().amax(dim=1)  # over the 64 features of q, after a sum over the rows
        retrieved.append(c * q[t] / divisor)
    return torch.stack(retrieved)


_SHARED = {
    "norm": "layer_norm",
    "convolution": "causal_conv.conv",
    "output_norm": "group_norm",
    "up_left": "up_proj_left",
    "up_right": "up_proj_right",
    "down": "down_proj",
}
RELEASED_LAYERS: dict[type[nn.Module], dict[str, str]] = {
    ReleasedSLSTMBlock: _SHARED
    | {f"{matrix}_{gate}": f"{matrix}{gate}.blocks.0" for matrix in "WR" for gate in "zifo"},
    ReleasedMLSTMBlock: _SHARED
    | {"skip": "skip_connection"}
    | {f"W_{name}": f"W{name}.blocks.0" for name in "qkv"}
    | {f"W_{gate}": f"W{gate}" for gate in "ifo"},
}
"""Names of the layers of each block in the authors' checkpoints, by ours; shapes are the same."""


def _convolve_features(convolution: nn.Conv1d, x: Tensor) -> Tensor:
    """Convolve (images, rows, features) along the features, seeing each and the three before it."""
    padded = F.pad(x, (KERNEL - 1, 0)).flatten(0, 1).unsqueeze(1)
    convolved: Tensor = convolution(padded).reshape(x.shape)
    return convolved


def _normalise(norm: nn.GroupNorm, h: Tensor) -> Tensor:
    """Normalise (images, rows, 64) over the 64 features of every row."""
    normed: Tensor = norm(h.reshape(-1, HIDDEN)).reshape(h.shape)
    return normed
