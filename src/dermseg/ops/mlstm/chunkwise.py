"""The mLSTM by matrix products: all steps of a chunk at once, the state handed from chunk to chunk."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dermseg.ops.mlstm.state import MLSTMState, floor

# Steps per chunk. Work inside a chunk grows with its length, work between chunks with head_dim / length.
CHUNK = 128


def mlstm(
    q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor, state: MLSTMState | None, final_state: bool
) -> tuple[Tensor, MLSTMState | None]:
    """Do what `reference.mlstm` does, by matrix products.

    Args:
        q: Queries (batch, T, heads, head_dim).
        k: Keys, already scaled (batch, T, heads, head_dim).
        v: Values (batch, T, heads, head_dim).
        i: Input gate before activation (batch, T, heads).
        f: Forget gate before activation (batch, T, heads).
        state: State before the first step; None where there is no past.
        final_state: Whether to work out the state after the last step.

    Returns:
        Retrieved values (batch, T, heads, head_dim) and the state after the last step, if asked for.
    """
    # Heads first, so that time and head_dim are the two axes of every matrix.
    inputs = [tensor.transpose(1, 2) for tensor in (q, k, v, i, F.logsigmoid(f))]
    chunks = list(zip(*(torch.split(tensor, CHUNK, dim=2) for tensor in inputs), strict=True))
    retrieved = []
    for number, chunk in enumerate(chunks):
        part, state = one_chunk(*chunk, state=state, final_state=final_state or number + 1 < len(chunks))
        retrieved.append(part)
    return torch.cat(retrieved, dim=2).transpose(1, 2), state


def one_chunk(
    q: Tensor, k: Tensor, v: Tensor, i: Tensor, log_f: Tensor, *, state: MLSTMState | None, final_state: bool
) -> tuple[Tensor, MLSTMState | None]:
    """Do all steps of one chunk at once, with memory that grows with the square of their number.

    Args:
        q: Queries (batch, heads, length, head_dim).
        k: Keys, already scaled (batch, heads, length, head_dim).
        v: Values (batch, heads, length, head_dim).
        i: Input gate before activation (batch, heads, length).
        log_f: Logarithm of the forget gate (batch, heads, length).
        state: State before the first step; None where there is no past.
        final_state: Whether to work out the state after the last step.

    Returns:
        Retrieved values (batch, heads, length, head_dim) and the state after the last step, if asked for.
    """
    log_weight = _log_weights(i, log_f)
    log_past = None if state is None else log_f.cumsum(-1) + state.m[..., None]
    m = log_weight.amax(-1) if log_past is None else torch.maximum(log_weight.amax(-1), log_past)
    weight = torch.exp(log_weight - m[..., None])
    past = None if log_past is None else torch.exp(log_past - m)[..., None]
    retrieved = _retrieve(q, k, v, weight, past, m, state)
    return retrieved, _advance(k, v, weight[..., -1, :], past, m[..., -1], state) if final_state else None


def _log_weights(i: Tensor, log_f: Tensor) -> Tensor:
    """Logarithm of the weight that step s has in the memory of step t (batch, heads, t, s).

    It is i_s + log f_{s+1} + ... + log f_t, and -inf for s > t. The sum over f is accumulated for every s
    by itself; as the difference of two running totals it would lose its digits where the totals are large.
    """
    length = i.shape[-1]
    later = torch.ones(length, length, dtype=torch.bool, device=i.device).triu(1)
    since = log_f[..., :, None].expand(*log_f.shape, length).tril(-1).cumsum(-2)
    return (since + i[..., None, :]).masked_fill(later, -math.inf)


def _retrieve(
    q: Tensor, k: Tensor, v: Tensor, weight: Tensor, past: Tensor | None, m: Tensor, state: MLSTMState | None
) -> Tensor:
    """Cq / max(|nᵀq|, 1) of Eq 12 for all steps of a chunk (batch, heads, length, head_dim)."""
    score = (q @ k.mT) * weight
    memory, normaliser = score @ v, score.sum(-1)
    if past is not None and state is not None:
        memory = memory + past * (q @ state.C.mT)
        normaliser = normaliser + (past * q @ state.n[..., None]).squeeze(-1)
    return memory / torch.maximum(normaliser.abs(), floor(m))[..., None]


def _advance(
    k: Tensor, v: Tensor, weight: Tensor, past: Tensor | None, m: Tensor, state: MLSTMState | None
) -> MLSTMState:
    """State after a chunk; `weight` (batch, heads, length) is that of its steps in the last one's memory."""
    weighted = weight[..., None] * k
    C, n = v.mT @ weighted, weighted.sum(-2)
    if past is not None and state is not None:
        decay = past[..., -1, :]
        C, n = C + decay[..., None] * state.C, n + decay * state.n
    return MLSTMState(C, n, m)
