"""The sLSTM recurrence, written as its equations: slow, differentiable by autograd, the specification."""

import torch
from torch import Tensor

from dermseg.ops.slstm.state import SLSTMState


def slstm(preactivations: Tensor, R: Tensor, state: SLSTMState) -> tuple[Tensor, SLSTMState]:
    """Run Eqs 6-8 with exponential input and forget gates, one step at a time.

    exp(i) and exp(f) overflow, so c and n are kept divided by e^m, where m is the running maximum of the
    logarithms that enter them (arXiv 2405.04517, Eqs 15-17). The quotient c / n of Eq 8 is unchanged.

    Args:
        preactivations: Wx + b of the gates z, i, f, o, in this order (batch, T, 4, heads, head_dim).
        R: Recurrent weights of the gates, one block per head (4, heads, head_dim, head_dim).
        state: State before the first step.

    Returns:
        Hidden states (batch, T, heads, head_dim) and the state after the last step.
    """
    c, n, m, h = state
    hidden = []
    for t in range(preactivations.shape[1]):
        recurrent = torch.einsum("ghjk,bhk->bghj", R, h)
        z, i, f, o = (preactivations[:, t] + recurrent).unbind(1)
        m_new = torch.maximum(f + m, i)
        f_gate = torch.exp(f + m - m_new)
        i_gate = torch.exp(i - m_new)
        c = f_gate * c + i_gate * torch.tanh(z)  # Eq 6
        n = f_gate * n + i_gate  # Eq 7
        h = torch.sigmoid(o) * c / n  # Eq 8
        m = m_new
        hidden.append(h)
    return torch.stack(hidden, dim=1), SLSTMState(c, n, m, h)
