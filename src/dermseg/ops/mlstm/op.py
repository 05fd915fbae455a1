"""The mLSTM's public function: checks its inputs, chooses an implementation, settles the types."""

from typing import Literal, overload

import torch
from torch import Tensor

from dermseg.ops import checks
from dermseg.ops.backend import wanted
from dermseg.ops.mlstm import chunkwise, export, reference
from dermseg.ops.mlstm.state import MLSTMState, empty_state


@overload
def mlstm(
    q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor, state: MLSTMState | None = None
) -> tuple[Tensor, MLSTMState]: ...


@overload
def mlstm(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    state: MLSTMState | None = None,
    *,
    final_state: Literal[False],
) -> tuple[Tensor, None]: ...


def mlstm(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    state: MLSTMState | None = None,
    *,
    final_state: bool = True,
) -> tuple[Tensor, MLSTMState | None]:
    """Run an mLSTM (Eqs 11-12, before the output gate) along sequences.

    The input gate is exponential. For the forget gate the xLSTM paper (arXiv 2405.04517, section 2.3) allows
    a sigmoid or an exponential; here it is a sigmoid, which can only shrink the memory. The 1 in
    max(|nᵀq|, 1) is an absolute size: under an exponential forget gate, C and n outgrow it by e^f per step,
    and the first steps drown the later ones.

    Heads do not see each other, nor do the elements of a batch. A sequence cut in two gives the same result
    when the second part starts from the state that the first returned. Half-precision inputs, also those
    autocast makes, are computed in float32, and the state is never of lower precision. Matrix products over
    chunks of time do the work; `DERMSEG_BACKEND=reference` runs the loop over time steps instead.

    Args:
        q: Queries (batch, T, heads, head_dim).
        k: Keys (batch, T, heads, head_dim). The 1/√d of Eq 11 is the caller's.
        v: Values (batch, T, heads, head_dim).
        i: Input gate before activation, one scalar per head (batch, T, heads).
        f: Forget gate before activation, one scalar per head (batch, T, heads).
        state: State before the first step; left out, there is no past.
        final_state: Whether to return the state after the last step. Short sequences do not need the
            matrix memory for anything else, and it can be larger than all other tensors together.

    Returns:
        Retrieved values (batch, T, heads, head_dim), of the type of `q`, and the state after the last step
        (None if it was not asked for).

    Raises:
        ConfigError: If shapes do not fit each other, or a dimension is empty.
    """
    batch, T, heads, head_dim = checks.dimensions("mlstm", "q", q, 4)
    expected: dict[str, tuple[Tensor, tuple[int, ...]]] = {
        "k": (k, (batch, T, heads, head_dim)),
        "v": (v, (batch, T, heads, head_dim)),
        "i": (i, (batch, T, heads)),
        "f": (f, (batch, T, heads)),
    }
    if state is not None:
        expected["state.C"] = (state.C, (batch, heads, head_dim, head_dim))
        expected["state.n"] = (state.n, (batch, heads, head_dim))
        expected["state.m"] = (state.m, (batch, heads))
    checks.shapes("mlstm", expected)
    dtype = checks.computing_dtype(q, k, v, i, f, *(state or ()))
    if state is not None:
        state = MLSTMState(*(part.to(dtype) for part in state))
    inputs = q.to(dtype), k.to(dtype), v.to(dtype), i.to(dtype), f.to(dtype)
    with torch.autocast(q.device.type, enabled=False):
        if wanted() == "reference":
            past = empty_state((batch, heads, head_dim), dtype, q.device) if state is None else state
            retrieved, last = reference.mlstm(*inputs, past)
            return retrieved.to(q.dtype), last if final_state else None
        if torch.compiler.is_exporting() and state is None and not final_state:
            return export.mlstm(*inputs).to(q.dtype), None
        retrieved, state = chunkwise.mlstm(*inputs, state, final_state)
    return retrieved.to(q.dtype), state
