"""The sLSTM against its equations, its fast path against the reference, and what must never happen."""

import os
from itertools import product
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dermseg.errors import ConfigError
from dermseg.ops.slstm import SLSTMState, slstm

BACKENDS = ("reference", "numba")
SHAPES = st.tuples(st.integers(1, 18), st.integers(1, 6), st.integers(1, 3), st.integers(1, 9))


def backend(name):
    return mock.patch.dict(os.environ, DERMSEG_BACKEND=name)


def draw(batch, T, heads, head_dim, *, seed=0, dtype=torch.float64, with_state=False):
    """Preactivations, recurrent weights and perhaps a state, all of unit size."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    inputs = [normal(batch, T, 4, heads, head_dim), normal(4, heads, head_dim, head_dim)]
    if with_state:
        c, n, m, h = (normal(batch, heads, head_dim) for _ in range(4))
        inputs += [c, n.abs() + 0.5, m, h]
    return inputs


def run(inputs):
    state = SLSTMState(*inputs[2:]) if len(inputs) > 2 else None
    hidden, last = slstm(*inputs[:2], state)
    return [hidden, *last]


def run_with_gradients(inputs, seed):
    """Outputs, and the gradients of all inputs for a random direction of all outputs."""
    inputs = [tensor.clone().requires_grad_() for tensor in inputs]
    outputs = run(inputs)
    generator = torch.Generator().manual_seed(seed)
    directions = [torch.randn(out.shape, generator=generator, dtype=out.dtype) for out in outputs]
    return outputs, torch.autograd.grad(outputs, inputs, directions)


@settings(max_examples=25)
@given(shape=SHAPES, with_state=st.booleans(), seed=st.integers(0, 2**31))
def test_fast_path_equals_reference_in_values_and_gradients(shape, with_state, seed):
    inputs = draw(*shape, seed=seed, with_state=with_state)
    with backend("reference"):
        expected = run_with_gradients(inputs, seed)
    with backend("numba"):
        actual = run_with_gradients(inputs, seed)
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(list(ours), list(theirs), rtol=1e-8, atol=1e-9)


def test_fast_path_equals_reference_in_float32():
    inputs = draw(9, 40, 2, 17, dtype=torch.float32)
    inputs[1] = inputs[1] / 17**0.5
    with backend("reference"):
        expected = run_with_gradients(inputs, 0)
    with backend("numba"):
        actual = run_with_gradients(inputs, 0)
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(list(ours), list(theirs), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", BACKENDS)
def test_equals_the_equations_without_stabiliser(name):
    preactivations, R = draw(2, 5, 2, 3)
    c = n = h = torch.zeros(2, 2, 3, dtype=torch.float64)
    expected = []
    for t in range(5):
        z, i, f, o = (preactivations[:, t, g] + torch.einsum("hjk,bhk->bhj", R[g], h) for g in range(4))
        c = f.exp() * c + i.exp() * z.tanh()
        n = f.exp() * n + i.exp()
        h = o.sigmoid() * c / n
        expected.append(h)
    with backend(name):
        hidden, state = slstm(preactivations, R)
    torch.testing.assert_close(hidden, torch.stack(expected, 1))
    torch.testing.assert_close(state.c * state.m.exp(), c)
    torch.testing.assert_close(state.n * state.m.exp(), n)
    torch.testing.assert_close(state.h, h)


@pytest.mark.parametrize("name", BACKENDS)
def test_first_step_needs_no_past(name):
    preactivations, R = draw(3, 1, 2, 5)
    with backend(name):
        hidden, _ = slstm(preactivations, R)
    z, _, _, o = preactivations[:, 0].unbind(1)
    torch.testing.assert_close(hidden[:, 0], o.sigmoid() * z.tanh())


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("cut", [1, 4, 6])
def test_a_sequence_in_two_parts_gives_the_same(name, cut):
    preactivations, R = (tensor.requires_grad_() for tensor in draw(3, 7, 2, 4))
    with backend(name):
        whole, last = slstm(preactivations, R)
        head, state = slstm(preactivations[:, :cut], R)
        tail, last_of_parts = slstm(preactivations[:, cut:], R, state)
    parts = torch.cat((head, tail), 1)
    torch.testing.assert_close([parts, *last_of_parts], [whole, *last])
    weights = torch.linspace(-1, 1, whole.numel(), dtype=whole.dtype).reshape(whole.shape)
    gradients = [torch.autograd.grad((h * weights).sum(), (preactivations, R)) for h in (whole, parts)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("T", [1, 64])
def test_extreme_gates_stay_finite(name, dtype, T):
    # Each of the 81 batch elements holds its four gates at one combination for the whole sequence.
    combinations = torch.tensor(list(product((-200.0, 0.0, 200.0), repeat=4)), dtype=dtype)
    preactivations = combinations[:, None, :, None, None].expand(-1, T, 4, 1, 3).clone().requires_grad_()
    R = (0.1 * torch.ones(4, 1, 3, 3, dtype=dtype)).requires_grad_()
    with backend(name):
        hidden, state = slstm(preactivations, R)
        hidden.square().sum().backward()
    assert all(tensor.isfinite().all() for tensor in (hidden, *state, preactivations.grad, R.grad))
    assert hidden.abs().max() <= 1


@pytest.mark.parametrize("name", BACKENDS)
def test_alternating_extremes_stay_finite(name):
    generator = torch.Generator().manual_seed(0)
    preactivations = (400 * torch.rand(4, 100, 4, 2, 3, generator=generator) - 200).requires_grad_()
    R = torch.randn(4, 2, 3, 3, generator=generator).requires_grad_()
    with backend(name):
        hidden, _ = slstm(preactivations, R)
        hidden.sum().backward()
    assert all(tensor.isfinite().all() for tensor in (hidden, preactivations.grad, R.grad))


def test_constant_input_without_recurrence_is_its_own_average():
    preactivations = torch.full((1, 50, 4, 1, 2), 0.7)
    hidden, _ = slstm(preactivations, torch.zeros(4, 1, 2, 2))
    expected = torch.tensor(0.7).sigmoid() * torch.tensor(0.7).tanh()
    torch.testing.assert_close(hidden, expected.expand_as(hidden))


@pytest.mark.parametrize("name", BACKENDS)
def test_heads_do_not_see_each_other(name):
    preactivations, R = draw(2, 5, 3, 4)
    changed = preactivations.clone()
    changed[:, :, :, 1] += 1
    with backend(name):
        before, after = slstm(preactivations, R)[0], slstm(changed, R)[0]
    assert torch.equal(before[:, :, [0, 2]], after[:, :, [0, 2]])
    assert not torch.equal(before[:, :, 1], after[:, :, 1])


def test_batch_elements_are_independent_to_the_bit():
    preactivations, R = draw(11, 6, 2, 13, dtype=torch.float32)
    together, _ = slstm(preactivations, R)
    alone = torch.cat([slstm(element[None], R)[0] for element in preactivations])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("name", BACKENDS)
def test_half_precision_is_computed_in_float32(name):
    preactivations, R = draw(2, 20, 2, 4, dtype=torch.float32)
    half = preactivations.bfloat16()
    with backend(name):
        expected, _ = slstm(half.float(), R)
        with torch.autocast("cpu", torch.bfloat16):
            hidden, state = slstm(half, R)
    assert hidden.dtype == torch.bfloat16
    assert state.c.dtype == torch.float32
    assert torch.equal(hidden, expected.bfloat16())


def test_operators_keep_the_rules_of_torch_library():
    preactivations, R, c, n, m, h = draw(3, 4, 2, 3, with_state=True)
    inputs = [tensor.requires_grad_() for tensor in (preactivations, R, c, n, m, h)]
    slstm(preactivations, R)  # registers the operators
    torch.library.opcheck(torch.ops.dermseg.slstm_forward.default, (*inputs, True))


def test_a_state_of_any_memory_order_has_the_same_gradients():
    inputs = draw(3, 4, 2, 5, with_state=True)
    expected = run_with_gradients(inputs, 0)
    for part in range(2, 6):
        inputs[part] = inputs[part].permute(2, 0, 1).contiguous().permute(1, 2, 0)
        assert not inputs[part].is_contiguous()
    for ours, theirs in zip(run_with_gradients(inputs, 0), expected, strict=True):
        torch.testing.assert_close(list(ours), list(theirs), rtol=0, atol=0)


def test_a_state_of_higher_precision_keeps_it():
    preactivations, R, *state = draw(2, 3, 2, 4, dtype=torch.float32, with_state=True)
    hidden, last = slstm(preactivations, R, SLSTMState(*(part.double() for part in state)))
    assert hidden.dtype == torch.float32
    assert all(part.dtype == torch.float64 for part in last)


def test_a_second_derivative_is_refused():
    inputs = [tensor.requires_grad_() for tensor in draw(1, 2, 1, 2)]
    (gradient, _) = torch.autograd.grad(slstm(*inputs)[0].square().sum(), inputs, create_graph=True)
    with pytest.raises(RuntimeError, match="slstm_backward"):
        gradient.sum().backward()


@pytest.mark.filterwarnings("ignore:.*forward-mode:dermseg.errors.DermsegWarning")
@pytest.mark.parametrize("frozen", [True, False])
def test_a_forward_derivative_is_that_of_the_equations(frozen):
    preactivations, R = (tensor.requires_grad_(not frozen) for tensor in draw(2, 4, 2, 3))
    along = torch.linspace(-1, 1, preactivations.numel(), dtype=R.dtype).view_as(preactivations)
    results = []
    for name in BACKENDS:
        with backend(name):
            results.append(torch.func.jvp(lambda x: slstm(x, R)[0], (preactivations,), (along,)))
    torch.testing.assert_close(*results)


def test_compiles_as_one_graph():
    inputs = [tensor.requires_grad_() for tensor in draw(3, 4, 2, 3)]
    compiled = torch.compile(slstm, backend="aot_eager", fullgraph=True)
    expected = torch.autograd.grad(slstm(*inputs)[0].sum(), inputs)
    torch.testing.assert_close(torch.autograd.grad(compiled(*inputs)[0].sum(), inputs), expected)


def test_wrong_shapes_are_named():
    preactivations, R = draw(2, 3, 2, 4)
    with pytest.raises(ConfigError, match="R must have shape"):
        slstm(preactivations, R[:, :1])
    with pytest.raises(ConfigError, match="5 dimensions"):
        slstm(preactivations[0], R)
    with pytest.raises(ConfigError, match="empty"):
        slstm(preactivations[:, :0], R)
    state = slstm(preactivations, R)[1]
    with pytest.raises(ConfigError, match=r"state\.n"):
        slstm(preactivations, R, state._replace(n=state.n[:1]))
