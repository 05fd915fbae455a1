"""The sLSTM's public function: checks its inputs, chooses a back-end, settles the types."""

import torch
from torch import Tensor

from dermseg.ops import checks
from dermseg.ops.backend import choose
from dermseg.ops.slstm import reference
from dermseg.ops.slstm.state import SLSTMState, empty_state


def slstm(preactivations: Tensor, R: Tensor, state: SLSTMState | None = None) -> tuple[Tensor, SLSTMState]:
    """Run an sLSTM (Eqs 6-8) along sequences, with exponential input and forget gates.

    Heads do not see each other, nor do the elements of a batch. A sequence cut in two gives the same result
    when the second part starts from the state that the first returned. Half-precision inputs, also those
    autocast makes, are computed in float32, and the state is never of lower precision.

    Args:
        preactivations: Wx + b of the gates z, i, f, o, in this order (batch, T, 4, heads, head_dim).
        R: Recurrent weights of the gates, one block per head (4, heads, head_dim, head_dim). Row j of a
            block gives unit j: `R @ h`.
        state: State before the first step; left out, there is no past.

    Returns:
        Hidden states (batch, T, heads, head_dim), of the type of `preactivations`, and the state after the
        last step.

    Raises:
        ConfigError: If shapes do not fit each other, or a dimension is empty.
    """
    batch, T, _, heads, head_dim = checks.dimensions("slstm", "preactivations", preactivations, 5)
    checks.shapes(
        "slstm",
        {
            "preactivations": (preactivations, (batch, T, 4, heads, head_dim)),
            "R": (R, (4, heads, head_dim, head_dim)),
        },
    )
    dtype = checks.computing_dtype(preactivations, R, *(state or ()))
    if state is None:
        state = empty_state((batch, heads, head_dim), dtype, preactivations.device)
    else:
        expected = (batch, heads, head_dim)
        checks.shapes("slstm", {f"state.{name}": (part, expected) for name, part in state._asdict().items()})
        state = SLSTMState(*(part.to(dtype) for part in state))
    backend = choose("slstm", preactivations.device, dtype)
    inputs = preactivations.to(dtype), R.to(dtype), state
    if backend == "triton":  # reads half precision as it is
        from dermseg.ops.slstm import gpu

        hidden, state = gpu.slstm(preactivations, R, state)
    elif backend == "numba":
        from dermseg.ops.slstm import cpu

        hidden, state = cpu.slstm(*inputs)
    else:
        with torch.autocast(preactivations.device.type, enabled=False):
            hidden, state = reference.slstm(*inputs)
    return hidden.to(preactivations.dtype), state
