"""The mLSTM recurrence, written as its equations: slow, differentiable by autograd, the specification."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dermseg.ops.mlstm.state import MLSTMState, floor


def mlstm(
    q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor, state: MLSTMState
) -> tuple[Tensor, MLSTMState]:
    """Run Eqs 11-12 without the output gate, one step at a time.

    The input gate is exponential, the forget gate a sigmoid. exp(i) overflows, so C and n are kept divided
    by e^m, where m is the running maximum of the logarithms that enter them (arXiv 2405.04517, Eqs 15-17).

    Args:
        q: Queries (batch, T, heads, head_dim).
        k: Keys, already scaled (batch, T, heads, head_dim).
        v: Values (batch, T, heads, head_dim).
        i: Input gate before activation (batch, T, heads).
        f: Forget gate before activation (batch, T, heads).
        state: State before the first step.

    Returns:
        Retrieved values (batch, T, heads, head_dim) and the state after the last step.
    """
    C, n, m = state
    log_f = F.logsigmoid(f)
    retrieved = []
    for t in range(q.shape[1]):
        m_new = torch.maximum(log_f[:, t] + m, i[:, t])
        f_gate = torch.exp(log_f[:, t] + m - m_new)[..., None]
        i_gate = torch.exp(i[:, t] - m_new)[..., None]
        C = f_gate[..., None] * C + i_gate[..., None] * v[:, t, :, :, None] * k[:, t, :, None, :]  # Eq 11
        n = f_gate * n + i_gate * k[:, t]  # Eq 12
        m = m_new
        divisor = torch.maximum((n * q[:, t]).sum(-1).abs(), floor(m))[..., None]
        retrieved.append((C @ q[:, t, :, :, None]).squeeze(-1) / divisor)  # Eq 12
    return torch.stack(retrieved, dim=1), MLSTMState(C, n, m)
