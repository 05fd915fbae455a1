"""The compiled selective scan against the equations, and the equations against a hand-made case."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dermseg.errors import ConfigError
from dermseg.ops.selective_scan import cpu, reference, selective_scan


def draw(batch, length, channels, states, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()

    A = (-3 * torch.rand(channels, states, generator=generator, dtype=torch.float64)).to(dtype)
    return [
        normal(batch, length, channels),
        normal(batch, length, channels),
        A.requires_grad_(),
        normal(batch, length, states),
        normal(batch, length, states),
        normal(channels),
        normal(channels),
    ]


def value_and_gradients(function, inputs):
    y = function(*inputs)
    weights = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).reshape(y.shape).to(y.dtype)
    return [y.detach(), *torch.autograd.grad((y * weights).sum(), inputs)]


def test_two_steps_by_hand():
    # softplus(log(e^0.5 - 1)) = 0.5, so with A = -2 the state decays by 1/e and takes in u B / 2.
    delta = torch.full((1, 2, 1), math.log(math.expm1(0.5)), dtype=torch.float64)
    u = torch.tensor([[[4.0], [6.0]]], dtype=torch.float64)
    A = torch.tensor([[-2.0]], dtype=torch.float64)
    B = torch.tensor([[[1.0], [3.0]]], dtype=torch.float64)
    C = torch.tensor([[[5.0], [7.0]]], dtype=torch.float64)
    D = torch.tensor([10.0], dtype=torch.float64)
    expected = torch.tensor([[[5 * 2.0 + 40], [7 * (2 / math.e + 9) + 60]]], dtype=torch.float64)
    for function in (reference.selective_scan, cpu.selective_scan):
        torch.testing.assert_close(function(u, delta, A, B, C, D, torch.zeros_like(D)), expected)


@settings(max_examples=15, deadline=None)
@given(st.tuples(*(st.integers(1, high) for high in (3, 70, 20, 5))))
def test_value_and_every_gradient_equal_the_reference(shape):
    inputs = draw(*shape)
    expected = value_and_gradients(reference.selective_scan, inputs)
    for ours, theirs in zip(value_and_gradients(cpu.selective_scan, inputs), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


def test_long_sequence_in_float32():
    inputs = draw(1, 3000, 3, 4, torch.float32)
    truth = value_and_gradients(cpu.selective_scan, [t.detach().double().requires_grad_() for t in inputs])
    for ours, exact in zip(value_and_gradients(cpu.selective_scan, inputs), truth, strict=True):
        assert (ours - exact).abs().max() <= 1e-5 * exact.abs().max()


def test_gradcheck():
    assert torch.autograd.gradcheck(cpu.selective_scan, draw(2, 5, 3, 2))


def test_optional_inputs_default_to_nothing():
    u, delta, A, B, C, D, bias = (t.detach() for t in draw(2, 4, 3, 2))
    zero = torch.zeros_like(D)
    assert torch.equal(selective_scan(u, delta, A, B, C), selective_scan(u, delta, A, B, C, zero, zero))
    assert not torch.equal(selective_scan(u, delta, A, B, C), selective_scan(u, delta, A, B, C, D, bias))


def test_mixed_types_follow_the_input():
    u, *others = (t.detach() for t in draw(1, 4, 3, 2, torch.float32))
    assert selective_scan(u.bfloat16(), *others).dtype == torch.bfloat16
    assert selective_scan(u, *(t.bfloat16() for t in others)).dtype == torch.float32


def test_only_what_needs_a_gradient_gets_one():
    inputs = [t.detach() for t in draw(1, 4, 3, 2)]
    inputs[2].requires_grad_()
    selective_scan(*inputs).sum().backward()
    assert inputs[2].grad is not None
    assert inputs[0].grad is None


def test_compiles_as_one_graph():
    inputs = draw(2, 5, 6, 3, torch.float32)
    compiled = torch.compile(selective_scan, fullgraph=True, backend="aot_eager")
    for ours, theirs in zip(
        value_and_gradients(compiled, inputs), value_and_gradients(selective_scan, inputs), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_wrong_shapes_are_named():
    inputs = [t.detach() for t in draw(1, 4, 3, 2)]
    with pytest.raises(ConfigError, match=r"selective_scan: delta must have shape"):
        selective_scan(inputs[0], inputs[1][:, :-1], *inputs[2:])
    with pytest.raises(ConfigError, match=r"selective_scan: u is empty"):
        selective_scan(inputs[0][:, :0], *inputs[1:])
