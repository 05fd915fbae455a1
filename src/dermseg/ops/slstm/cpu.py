"""The sLSTM as PyTorch operators over the CPU kernels: autograd, autocast and shapes for compilation."""

import torch
from torch import Tensor

from dermseg.ops.slstm import kernels
from dermseg.ops.slstm.state import SLSTMState


def slstm(preactivations: Tensor, R: Tensor, state: SLSTMState) -> tuple[Tensor, SLSTMState]:
    """Do what `reference.slstm` does, in float32 or float64 on a CPU.

    Args:
        preactivations: Wx + b of the gates z, i, f, o, in this order (batch, T, 4, heads, head_dim).
        R: Recurrent weights of the gates, one block per head (4, heads, head_dim, head_dim).
        state: State before the first step.

    Returns:
        Hidden states (batch, T, heads, head_dim) and the state after the last step.
    """
    inputs = (preactivations, R, *state)
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    hidden, c, n, m, _, _ = _forward(*inputs, keep)
    return hidden, SLSTMState(c, n, m, hidden[:, -1])


@torch.library.custom_op("dermseg::slstm_forward", mutates_args=())
def _forward(
    preactivations: Tensor, R: Tensor, c: Tensor, n: Tensor, m: Tensor, h: Tensor, keep: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return hidden states, final c, n, m, and, if `keep`, activated gates and cells for the backward."""
    hidden, c_last, n_last, m_last, gates, cells = _outputs(preactivations, c, n, m, keep)
    for last, first in ((c_last, c), (n_last, n), (m_last, m)):
        last.copy_(first)
    heads, d = R.shape[1:3]
    by_input = R.permute(1, 3, 0, 2).reshape(heads, d, 4 * d)
    arrays = (preactivations, by_input, c_last, n_last, m_last, h, hidden, gates, cells)
    kernels.forward(*(tensor.detach().contiguous().numpy() for tensor in arrays))
    return hidden, c_last, n_last, m_last, gates, cells


@_forward.register_fake
def _(
    preactivations: Tensor, R: Tensor, c: Tensor, n: Tensor, m: Tensor, h: Tensor, keep: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    return _outputs(preactivations, c, n, m, keep)


def _outputs(
    preactivations: Tensor, c: Tensor, n: Tensor, m: Tensor, keep: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    batch, T, gates, heads, d = preactivations.shape
    new = preactivations.new_empty
    return (
        new(batch, T, heads, d),
        c.new_empty(c.shape),
        n.new_empty(n.shape),
        m.new_empty(m.shape),
        new((batch, T, gates, heads, d) if keep else (0, 0, 0, 0, 0)),
        new((batch, T, 2, heads, d) if keep else (0, 0, 0, 0, 0)),
    )


@torch.library.custom_op("dermseg::slstm_backward", mutates_args=())
def _backward(
    grad_hidden: Tensor,
    grad_c: Tensor,
    grad_n: Tensor,
    grad_m: Tensor,
    R: Tensor,
    c: Tensor,
    n: Tensor,
    h: Tensor,
    hidden: Tensor,
    gates: Tensor,
    cells: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of preactivations, R, c, n, m, h."""
    heads, d = R.shape[1:3]
    by_unit = R.transpose(0, 1).reshape(heads, 4 * d, d)
    first = tuple(grad.clone(memory_format=torch.contiguous_format) for grad in (grad_c, grad_n, grad_m))
    first_h = torch.zeros_like(first[0])
    grad_preactivations = torch.empty_like(gates)
    arrays = (grad_hidden, by_unit, c, n, gates, cells, *first, first_h, grad_preactivations)
    kernels.backward(*(tensor.detach().contiguous().numpy() for tensor in arrays))
    previous = torch.cat((h[:, None], hidden[:, :-1]), dim=1)
    grad_R = torch.einsum("btghj,bthk->ghjk", grad_preactivations, previous)
    return grad_preactivations, grad_R, *first, first_h


@_backward.register_fake
def _(
    grad_hidden: Tensor,
    grad_c: Tensor,
    grad_n: Tensor,
    grad_m: Tensor,
    R: Tensor,
    c: Tensor,
    n: Tensor,
    h: Tensor,
    hidden: Tensor,
    gates: Tensor,
    cells: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    new = gates.new_empty
    return new(gates.shape), new(R.shape), new(c.shape), new(c.shape), new(c.shape), new(c.shape)


def _setup_context(ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: tuple) -> None:
    _, R, c, n, _, h, _ = inputs
    hidden, _, _, _, gates, cells = output
    ctx.save_for_backward(R, c, n, h, hidden, gates, cells)


def _differentiate(ctx, grad_hidden: Tensor, grad_c: Tensor, grad_n: Tensor, grad_m: Tensor, *_: Tensor):
    return *_backward(grad_hidden, grad_c, grad_n, grad_m, *ctx.saved_tensors), None


_forward.register_autograd(_differentiate, setup_context=_setup_context)
_forward.register_autocast("cpu", torch.float32)
_backward.register_autocast("cpu", torch.float32)
