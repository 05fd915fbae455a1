"""The sLSTM as PyTorch operators over the CPU kernels: autograd, autocast and shapes for compilation."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dermseg.ops import numba_threads
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
    hidden, c_last, n_last, m_last, gates, cells = _allocate(preactivations, keep)
    for last, first in ((c_last, c), (n_last, n), (m_last, m)):
        last.copy_(first)
    heads, d = R.shape[1:3]
    by_input = R.permute(1, 3, 0, 2).reshape(heads, d, 4 * d)
    outputs = (c_last, n_last, m_last, hidden, gates, cells)
    _run(kernels.forward, hidden.shape, (preactivations, by_input, h), outputs)
    return hidden, c_last, n_last, m_last, gates, cells


@_forward.register_fake
def _(
    preactivations: Tensor, _R: Tensor, _c: Tensor, _n: Tensor, _m: Tensor, _h: Tensor, keep: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    return _allocate(preactivations, keep)


def _allocate(preactivations: Tensor, keep: bool) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    batch, T, gates, heads, d = preactivations.shape
    steps = T if keep else 0
    new = preactivations.new_empty
    return (
        new(batch, T, heads, d),
        new(batch, heads, d),
        new(batch, heads, d),
        new(batch, heads, d),
        new(batch, steps, gates, heads, d),
        new(batch, steps, 2, heads, d),
    )


@torch.library.custom_op("dermseg::slstm_backward", mutates_args=())
def _backward(
    gates: Tensor,
    cells: Tensor,
    hidden: Tensor,
    R: Tensor,
    c: Tensor,
    n: Tensor,
    h: Tensor,
    grad_hidden: Tensor,
    grad_c: Tensor,
    grad_n: Tensor,
    grad_m: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of preactivations, R, c, n, m, h."""
    heads, d = R.shape[1:3]
    by_unit = R.transpose(0, 1).reshape(heads, 4 * d, d)
    grad_gates, grad_c0, grad_n0, grad_m0, grad_h0 = (x.new_empty(x.shape) for x in (gates, c, c, c, c))
    for new, old in ((grad_c0, grad_c), (grad_n0, grad_n), (grad_m0, grad_m)):
        new.copy_(old)
    outputs = (grad_c0, grad_n0, grad_m0, grad_h0, grad_gates)
    _run(kernels.backward, hidden.shape, (grad_hidden, by_unit, c, n, gates, cells), outputs)
    # One matrix product per head over all steps: (4 d, batch * T) times (batch * T, d).
    steps = grad_gates.flatten(0, 1).permute(2, 0, 1, 3).flatten(2).mT
    before = torch.cat((h[:, None], hidden[:, :-1]), dim=1).flatten(0, 1).transpose(0, 1)
    grad_R = (steps @ before).reshape(heads, 4, d, d).transpose(0, 1).contiguous()
    return grad_gates, grad_R, grad_c0, grad_n0, grad_m0, grad_h0


@_backward.register_fake
def _(
    gates: Tensor, _cells: Tensor, _hidden: Tensor, R: Tensor, c: Tensor, *_: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    new = gates.new_empty
    return new(gates.shape), new(R.shape), new(c.shape), new(c.shape), new(c.shape), new(c.shape)


def _run(
    kernel: Callable[..., None],
    shape: torch.Size,
    inputs: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
) -> None:
    """Run a kernel on every head of every tile; `shape` is that of the hidden states."""
    batch, T, heads, d = shape
    tiles = -(-batch // kernels.TILE)
    arrays = [tensor.detach().contiguous().numpy() for tensor in inputs]
    arrays += [tensor.numpy() for tensor in outputs]  # never a copy: the kernel writes here
    # A step of one unit multiplies 4 d weights, about 8 of them per instruction.
    numba_threads.run(kernel, heads * tiles, batch * T * heads * d * (d // 2 + 8), *arrays)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:  # noqa: ANN401
    _, R, c, n, _, h, _ = inputs
    hidden, _, _, _, gates, cells = output
    ctx.save_for_backward(gates, cells, hidden, R, c, n, h)
    ctx.mark_non_differentiable(gates, cells)


def _differentiate(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
    return *_backward(*ctx.saved_tensors, *grads[:4]), None


_forward.register_autograd(_differentiate, setup_context=_remember)
_forward.register_autocast("cpu", torch.float32)
_backward.register_autocast("cpu", torch.float32)
