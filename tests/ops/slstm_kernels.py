"""What the Triton kernels of the sLSTM must do; test_slstm_gpu.py runs this file where they run."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_slstm import backend, draw, run, run_with_gradients
from triton_kernels import DEVICE

from dermseg.ops.slstm import SLSTMState, slstm

SHAPES = st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 2), st.integers(1, 20))


def on_device(inputs):
    return [tensor.to(DEVICE) for tensor in inputs]


@settings(max_examples=4, derandomize=True)
@given(shape=SHAPES, with_state=st.booleans())
def test_values_and_gradients_equal_the_reference(shape, with_state):
    inputs = on_device(draw(*shape, with_state=with_state))
    with backend("reference"):
        expected = run_with_gradients(inputs, 0)
    with backend("triton"):
        actual = run_with_gradients(inputs, 0)
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(list(ours), list(theirs), rtol=1e-8, atol=1e-9)


def test_weights_that_do_not_fit_into_registers_are_read_again():
    from dermseg.ops.slstm import gpu

    inputs = on_device(draw(1, 3, 1, gpu.RESIDENT + 1, dtype=torch.float32))
    inputs[1] = inputs[1] / gpu.RESIDENT**0.5
    with backend("reference"):
        expected = run_with_gradients(inputs, 0)
    with backend("triton"):
        actual = run_with_gradients(inputs, 0)
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(list(ours), list(theirs), rtol=1e-3, atol=1e-4)


def test_half_precision_is_read_as_it_is_and_computed_in_float32():
    preactivations, R = on_device(draw(2, 5, 1, 3, dtype=torch.float32))
    half = preactivations.bfloat16().requires_grad_()
    R.requires_grad_()
    with backend("triton"):
        expected, _ = slstm(half.float(), R)
        with torch.autocast(DEVICE, torch.bfloat16):
            hidden, state = slstm(half, R)
        gradients = torch.autograd.grad(hidden.float().sum(), (half, R))
    assert hidden.dtype == torch.bfloat16
    assert all(part.dtype == torch.float32 for part in state)
    assert torch.equal(hidden, expected.bfloat16())
    assert [gradient.dtype for gradient in gradients] == [torch.bfloat16, torch.float32]


@pytest.mark.parametrize("T", [1, 6])
def test_extreme_gates_stay_finite(T):
    # Each of the 81 units holds its four gates at one combination for the whole sequence.
    combinations = torch.tensor(list(product((-200.0, 0.0, 200.0), repeat=4)), device=DEVICE)
    preactivations = combinations.T[None, None, :, None].repeat(1, T, 1, 1, 1).requires_grad_()
    R = torch.full((4, 1, 81, 81), 1e-3, device=DEVICE, requires_grad=True)
    with backend("triton"):
        hidden, state = slstm(preactivations, R)
        hidden.square().sum().backward()
    assert all(tensor.isfinite().all() for tensor in (hidden, *state, preactivations.grad, R.grad))
    assert hidden.abs().max() <= 1


def test_a_sequence_in_two_parts_gives_the_same():
    preactivations, R = on_device(draw(2, 5, 1, 4))
    with backend("triton"):
        whole, last = slstm(preactivations, R)
        head, state = slstm(preactivations[:, :2], R)
        tail, last_of_parts = slstm(preactivations[:, 2:], R, state)
    assert isinstance(last, SLSTMState)
    parts = (torch.cat((head, tail), 1), *last_of_parts)
    assert all(torch.equal(a, b) for a, b in zip(parts, (whole, *last), strict=True))


def test_batch_elements_and_heads_do_not_see_each_other():
    preactivations, R = on_device(draw(2, 3, 2, 3, dtype=torch.float32))
    with backend("triton"):
        together, _ = slstm(preactivations, R)
        alone, _ = slstm(preactivations[1:, :, :, :1], R[:, :1])
    assert torch.equal(together[1:, :, :1], alone)


def test_a_state_of_any_memory_order_has_the_same_gradients():
    inputs = on_device(draw(2, 2, 2, 3, with_state=True))
    with backend("triton"):
        expected = run_with_gradients(inputs, 0)
        for part in range(2, 6):
            inputs[part] = inputs[part].permute(2, 0, 1).contiguous().permute(1, 2, 0)
        actual = run_with_gradients(inputs, 0)
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(list(ours), list(theirs), rtol=0, atol=0)


def test_compiles_as_one_graph():
    inputs = on_device(draw(1, 2, 1, 3))
    compiled = torch.compile(slstm, backend="aot_eager", fullgraph=True)
    with backend("triton"):
        torch.testing.assert_close(compiled(*inputs)[0], run(inputs)[0])


@pytest.mark.slow
def test_operators_keep_the_rules_of_torch_library():
    from dermseg.ops.slstm import gpu

    inputs = [tensor.requires_grad_() for tensor in on_device(draw(1, 2, 1, 2, with_state=True))]
    torch.library.opcheck(gpu._forward, (*inputs, True))
