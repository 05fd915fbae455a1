# mypy: disable-error-code="import-untyped, import-not-found"
"""The sLSTM on a GPU (Triton), as operators that autograd and `torch.compile` know."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from dermseg.ops import checks
from dermseg.ops.slstm import gpu_kernels
from dermseg.ops.slstm.state import SLSTMState

Outputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]

RESIDENT = 64
"""Largest head whose recurrent weights stay in registers: 64 KiB of a multiprocessor's 256."""


def slstm(preactivations: Tensor, R: Tensor, state: SLSTMState) -> tuple[Tensor, SLSTMState]:
    """Do what `reference.slstm` does. Inputs may be of any floating types; the state is at least float32.

    Args:
        preactivations: Wx + b of the gates z, i, f, o, in this order (batch, T, 4, heads, head_dim).
        R: Recurrent weights of the gates, one block per head (4, heads, head_dim, head_dim).
        state: State before the first step.

    Returns:
        Hidden states (batch, T, heads, head_dim), in float32 or float64, and the state after the last step.
    """
    inputs = (preactivations, R, *state)
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    hidden, c, n, m, _, _ = _forward(*(tensor.contiguous() for tensor in inputs), keep)
    return hidden, SLSTMState(c, n, m, hidden[:, -1])


@torch.library.custom_op("dermseg::slstm_forward_triton", mutates_args=())
def _forward(
    preactivations: Tensor, R: Tensor, c: Tensor, n: Tensor, m: Tensor, h: Tensor, keep: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return hidden states, final c, n, m, and, if `keep`, activated gates and cells for the backward."""
    outputs: Outputs = _allocate(preactivations, R, c, n, m, h, keep)
    batch, T, heads, d = outputs[0].shape
    with torch.cuda.device_of(R):  # type: ignore[no-untyped-call]
        gpu_kernels.forward[(batch * heads,)](
            *(preactivations, R.mT.contiguous(), c, n, m, h, *outputs, T, heads, d),
            KEEP=keep,
            **_constants(d, outputs[0].dtype),
        )
    return outputs


@_forward.register_fake
def _allocate(
    preactivations: Tensor, R: Tensor, c: Tensor, n: Tensor, m: Tensor, h: Tensor, keep: bool
) -> Outputs:
    batch, T, gates, heads, d = preactivations.shape
    dtype = checks.computing_dtype(preactivations, R, c, n, m, h)

    def new(*shape: int) -> Tensor:
        return preactivations.new_empty(shape, dtype=dtype)

    return (
        new(batch, T, heads, d),
        new(batch, heads, d),
        new(batch, heads, d),
        new(batch, heads, d),
        new(batch, T if keep else 0, gates, heads, d),
        new(batch, T + 1 if keep else 0, 2, heads, d),
    )


@torch.library.custom_op("dermseg::slstm_backward_triton", mutates_args=())
def _backward(
    gates: Tensor,
    cells: Tensor,
    hidden: Tensor,
    R: Tensor,
    h: Tensor,
    hidden_grad: Tensor,
    c_last_grad: Tensor,
    n_last_grad: Tensor,
    m_last_grad: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of preactivations, R, c, n, m, h, all of the type of the states."""
    batch, T, heads, d = hidden.shape
    gates_grad = torch.empty_like(gates)
    state_grads = [torch.empty_like(hidden[:, 0]) for _ in range(4)]
    with torch.cuda.device_of(R):  # type: ignore[no-untyped-call]
        gpu_kernels.backward[(batch * heads,)](
            *(grad.contiguous() for grad in (hidden_grad, c_last_grad, n_last_grad, m_last_grad)),
            *(R, gates, cells, gates_grad, *state_grads, T, heads, d),
            **_constants(d, hidden.dtype),
        )
    # One matrix product per head over all steps: (4 d, batch * T) times (batch * T, d).
    steps = gates_grad.flatten(0, 1).permute(2, 0, 1, 3).flatten(2).mT
    before = torch.cat((h[:, None], hidden[:, :-1]), dim=1).flatten(0, 1).transpose(0, 1)
    with torch.autocast(R.device.type, enabled=False):
        R_grad = (steps @ before.to(steps.dtype)).reshape(heads, 4, d, d).transpose(0, 1).contiguous()
    c_grad, n_grad, m_grad, h_grad = state_grads
    return gates_grad, R_grad, c_grad, n_grad, m_grad, h_grad


@_backward.register_fake
def _(gates: Tensor, _cells: Tensor, hidden: Tensor, R: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
    states = (hidden.new_empty(hidden[:, 0].shape) for _ in range(4))
    return torch.empty_like(gates), gates.new_empty(R.shape), *states


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:  # noqa: ANN401
    hidden, _, _, _, gates, cells = output
    ctx.types = [tensor.dtype for tensor in inputs[:-1]]
    ctx.save_for_backward(gates, cells, hidden, inputs[1], inputs[5])
    ctx.mark_non_differentiable(gates, cells)


def _differentiate(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
    gradients = _backward(*ctx.saved_tensors, *grads[:4])
    return *(gradient.to(dtype) for gradient, dtype in zip(gradients, ctx.types, strict=True)), None


_forward.register_autograd(_differentiate, setup_context=_remember)


def _constants(d: int, dtype: torch.dtype) -> dict[str, Any]:
    units = max(16, triton.next_power_of_2(d))
    return {
        "RESIDENT": units <= RESIDENT,
        "UNITS": units,
        "ACC": tl.float64 if dtype == torch.float64 else tl.float32,
        "num_warps": min(max(units // 8, 1), 16),
    }
