"""The mLSTM against its equations, its fast path against the reference, and what must never happen."""

import os
from itertools import product
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dermseg.errors import ConfigError
from dermseg.ops.mlstm import MLSTMState, chunkwise, mlstm

IMPLEMENTATIONS = ("reference", "chunkwise")
SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 20), st.integers(1, 3), st.integers(1, 7))


def implementation(name):
    return mock.patch.dict(os.environ, DERMSEG_BACKEND="reference" if name == "reference" else "")


def draw(batch, T, heads, head_dim, *, seed=0, dtype=torch.float64, with_state=False):
    """q, k, v, i, f and perhaps a state, all of unit size."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    inputs = [normal(batch, T, heads, head_dim) for _ in range(3)] + [
        normal(batch, T, heads) for _ in range(2)
    ]
    if with_state:
        inputs += [
            normal(batch, heads, head_dim, head_dim),
            normal(batch, heads, head_dim),
            normal(batch, heads),
        ]
    return inputs


def run(inputs):
    state = MLSTMState(*inputs[5:]) if len(inputs) > 5 else None
    retrieved, last = mlstm(*inputs[:5], state)
    return [retrieved, *last]


def run_with_gradients(inputs, seed):
    """Outputs, and the gradients of all inputs for a random direction of all outputs."""
    inputs = [tensor.clone().requires_grad_() for tensor in inputs]
    outputs = run(inputs)
    generator = torch.Generator().manual_seed(seed)
    directions = [torch.randn(out.shape, generator=generator, dtype=out.dtype) for out in outputs]
    return outputs, torch.autograd.grad(outputs, inputs, directions)


@settings(max_examples=25)
@given(shape=SHAPES, chunk=st.integers(1, 8), with_state=st.booleans(), seed=st.integers(0, 2**31))
def test_fast_path_equals_reference_in_values_and_gradients(shape, chunk, with_state, seed):
    inputs = draw(*shape, seed=seed, with_state=with_state)
    with implementation("reference"):
        expected = run_with_gradients(inputs, seed)
    with implementation("chunkwise"), mock.patch.object(chunkwise, "CHUNK", chunk):
        actual = run_with_gradients(inputs, seed)
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(list(ours), list(theirs), rtol=1e-8, atol=1e-9)


def test_fast_path_equals_reference_over_chunks_of_full_length():
    inputs = draw(1, 2 * chunkwise.CHUNK + 5, 1, 3)
    inputs[4] = inputs[4] + 4  # forget gates near 1, so that the first chunk is remembered in the last
    with implementation("reference"):
        expected = run_with_gradients(inputs, 0)
    with implementation("chunkwise"):
        actual = run_with_gradients(inputs, 0)
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(list(ours), list(theirs), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_equals_the_equations_without_stabiliser(name):
    q, k, v, i, f = draw(2, 6, 2, 3)
    C = torch.zeros(2, 2, 3, 3, dtype=torch.float64)
    n = torch.zeros(2, 2, 3, dtype=torch.float64)
    expected, floored = [], []
    for t in range(6):
        forget, store = f[:, t].sigmoid()[..., None], i[:, t].exp()[..., None]
        C = forget[..., None] * C + store[..., None] * torch.einsum("bhi,bhj->bhij", v[:, t], k[:, t])
        n = forget * n + store * k[:, t]
        overlap = (n * q[:, t]).sum(-1, keepdim=True).abs()
        floored.append(overlap < 1)
        expected.append(torch.einsum("bhij,bhj->bhi", C, q[:, t]) / overlap.clamp(min=1))
    with implementation(name):
        retrieved, state = mlstm(q, k, v, i, f)
    assert 0 < torch.stack(floored).double().mean() < 1  # both sides of the maximum occur
    torch.testing.assert_close(retrieved, torch.stack(expected, 1))
    torch.testing.assert_close(state.C * state.m.exp()[..., None, None], C)
    torch.testing.assert_close(state.n * state.m.exp()[..., None], n)


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_a_stored_value_is_found_by_its_key(name):
    keys = torch.eye(4, dtype=torch.float64)[None, :, None]  # four steps, orthonormal keys
    values = draw(1, 4, 1, 4)[2]
    gates = torch.zeros(1, 5, 1, dtype=torch.float64)
    k = torch.cat((keys, torch.zeros_like(keys[:, :1])), 1)
    v = torch.cat((values, torch.zeros_like(values[:, :1])), 1)
    q = k.roll(-2, 1)
    q[:, 4] = keys[:, 1]  # at the end, ask for the second
    with implementation(name):
        retrieved, _ = mlstm(q, k, v, gates, gates + 50)
    torch.testing.assert_close(retrieved[0, 4, 0], values[0, 1, 0])


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
@pytest.mark.parametrize("cut", [1, 4, 6])
def test_a_sequence_in_two_parts_gives_the_same(name, cut):
    inputs = [tensor.requires_grad_() for tensor in draw(3, 7, 2, 4)]
    with implementation(name):
        whole, last = mlstm(*inputs)
        head, state = mlstm(*(tensor[:, :cut] for tensor in inputs))
        tail, last_of_parts = mlstm(*(tensor[:, cut:] for tensor in inputs), state)
    parts = torch.cat((head, tail), 1)
    torch.testing.assert_close([parts, *last_of_parts], [whole, *last])
    weights = torch.linspace(-1, 1, whole.numel(), dtype=whole.dtype).reshape(whole.shape)
    gradients = [torch.autograd.grad((h * weights).sum(), inputs) for h in (whole, parts)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("T", [1, 70])
def test_extreme_gates_stay_finite(name, dtype, T):
    # Each of the nine batch elements holds its gates at one combination for the whole sequence.
    combinations = torch.tensor(list(product((-200.0, 0.0, 200.0), repeat=2)), dtype=dtype)
    q, k, v = draw(9, T, 1, 3, dtype=dtype)[:3]
    i, f = (combinations[:, None, gate, None].expand(-1, T, 1).clone() for gate in range(2))
    inputs = [tensor.requires_grad_() for tensor in (q, k, v, i, f)]
    with implementation(name):
        retrieved, state = mlstm(*inputs)
        retrieved.square().sum().backward()
    assert all(tensor.isfinite().all() for tensor in (retrieved, *state))
    assert all(tensor.grad.isfinite().all() for tensor in inputs)


@pytest.mark.parametrize("T", [1, 70])
def test_alternating_extremes_agree_and_stay_finite(T):
    inputs = draw(3, T, 2, 4)
    inputs[3:] = [(100 * gate).clamp(-200, 200) for gate in inputs[3:]]
    with implementation("reference"):
        expected = mlstm(*inputs)[0]
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-3)):
        leaves = [tensor.to(dtype, copy=True).requires_grad_() for tensor in inputs]
        retrieved, _ = mlstm(*leaves)
        retrieved.sum().backward()
        assert all(tensor.grad.isfinite().all() for tensor in leaves)
        error = (retrieved - expected).abs().max() / expected.abs().max()
        assert error < tolerance


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_batch_elements_and_heads_are_independent(name):
    inputs = draw(3, 9, 2, 4)
    with implementation(name):
        together, _ = mlstm(*inputs)
        alone = torch.cat([mlstm(*(tensor[[b]] for tensor in inputs))[0] for b in range(3)])
        heads = torch.cat([mlstm(*(tensor[:, :, [h]] for tensor in inputs))[0] for h in range(2)], 2)
    torch.testing.assert_close(alone, together, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(heads, together, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_the_final_state_can_be_left_out(name):
    inputs = draw(2, 5, 2, 3)
    with implementation(name):
        retrieved, state = mlstm(*inputs, final_state=False)
        assert state is None
        assert torch.equal(retrieved, mlstm(*inputs)[0])


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_half_precision_is_computed_in_float32(name):
    inputs = draw(2, 20, 2, 4, dtype=torch.bfloat16)
    with implementation(name):
        expected, _ = mlstm(*(tensor.float() for tensor in inputs))
        with torch.autocast("cpu", torch.bfloat16):
            retrieved, state = mlstm(*inputs)
    assert retrieved.dtype == torch.bfloat16
    assert state.C.dtype == torch.float32
    assert torch.equal(retrieved, expected.bfloat16())


def test_a_state_of_higher_precision_keeps_it():
    *inputs, C, n, m = draw(2, 3, 2, 4, dtype=torch.float32, with_state=True)
    retrieved, state = mlstm(*inputs, MLSTMState(C.double(), n.double(), m.double()))
    assert retrieved.dtype == torch.float32
    assert all(part.dtype == torch.float64 for part in state)


def test_an_unknown_back_end_is_refused(monkeypatch):
    monkeypatch.setenv("DERMSEG_BACKEND", "refrence")
    with pytest.raises(ConfigError, match=r"refrence.*reference, numba"):
        mlstm(*draw(1, 2, 1, 3))


def test_compiles_as_one_graph():
    inputs = [tensor.requires_grad_() for tensor in draw(2, 5, 2, 3)]
    compiled = torch.compile(mlstm, backend="aot_eager", fullgraph=True)
    expected = torch.autograd.grad(mlstm(*inputs)[0].sum(), inputs)
    torch.testing.assert_close(torch.autograd.grad(compiled(*inputs)[0].sum(), inputs), expected)


def test_wrong_shapes_are_named():
    q, k, v, i, f = draw(2, 3, 2, 4)
    with pytest.raises(ConfigError, match="k must have shape"):
        mlstm(q, k[:, :2], v, i, f)
    with pytest.raises(ConfigError, match="f must have shape"):
        mlstm(q, k, v, i, f[..., :1])
    with pytest.raises(ConfigError, match="empty"):
        mlstm(*(tensor[:, :0] for tensor in (q, k, v, i, f)))
    state = mlstm(q, k, v, i, f)[1]
    with pytest.raises(ConfigError, match=r"state\.C"):
        mlstm(q, k, v, i, f, state._replace(C=state.C[:1]))
