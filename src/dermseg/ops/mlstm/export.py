"""The mLSTM in its parallel form: all steps at once, as one chunk, however many they are.

An export may leave the number of steps open, so that they cannot be cut into chunks. Work and memory grow
with the square of their number, which is that of the encoder's levels, of the rows of an image, or of the
patches of one in Vision-LSTM.
"""

import torch.nn.functional as F
from torch import Tensor

from dermseg.ops.mlstm.chunkwise import one_chunk


def mlstm(q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor) -> Tensor:
    """Do what `reference.mlstm` does where there is no past, and no state is wanted.

    Args:
        q: Queries (batch, T, heads, head_dim).
        k: Keys, already scaled (batch, T, heads, head_dim).
        v: Values (batch, T, heads, head_dim).
        i: Input gate before activation (batch, T, heads).
        f: Forget gate before activation (batch, T, heads).

    Returns:
        Retrieved values (batch, T, heads, head_dim).
    """
    heads_first = (tensor.transpose(1, 2) for tensor in (q, k, v, i, F.logsigmoid(f)))
    retrieved, _ = one_chunk(*heads_first, state=None, final_state=False)
    return retrieved.transpose(1, 2)
