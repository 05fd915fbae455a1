"""Layer normalisation times a SiLU gate: the kernel against the operators of PyTorch."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from dermseg.errors import ConfigError
from dermseg.ops.gate import normalise_gate

SHAPES = [(1, 1), (3, 7), (2, 5, 64), (2, 9, 11, 100), (1, 16, 16, 192), (0, 8)]


def inputs(shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    y, gate = (torch.randn(shape, generator=generator, dtype=dtype) * 3 + 1 for _ in range(2))
    norm = nn.LayerNorm(shape[-1], dtype=dtype).requires_grad_(requires_grad=False)
    norm.weight.normal_(generator=generator)
    norm.bias.normal_(generator=generator)
    return y, gate, norm


def expected(y, gate, norm):
    return norm(y) * F.silu(gate)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_kernel_equals_the_operators(shape):
    values = inputs(shape)
    torch.testing.assert_close(normalise_gate(*values), expected(*values), rtol=1e-9, atol=1e-9)


def test_single_precision_and_large_gates():
    y, gate, norm = inputs((5, 96), torch.float32)
    gate *= 100
    found = normalise_gate(y, gate, norm)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected(y, gate, norm), rtol=2e-5, atol=2e-4)


def test_a_gate_may_be_one_half_of_a_larger_map():
    both = torch.randn(2, 6, 5, 80, dtype=torch.float64)
    _, gate = both.chunk(2, dim=-1)
    y, _, norm = inputs((2, 6, 5, 40))
    torch.testing.assert_close(normalise_gate(y, gate, norm), expected(y, gate, norm), rtol=1e-9, atol=1e-9)


def test_any_layout_of_the_vectors():
    y, gate, norm = inputs((4, 6, 24))
    y, gate = (x.permute(1, 0, 2) for x in (y, gate))
    torch.testing.assert_close(normalise_gate(y, gate, norm), expected(y, gate, norm), rtol=1e-9, atol=1e-9)


def test_a_vector_does_not_depend_on_the_others():
    y, gate, norm = inputs((40, 70), torch.float32)
    found = normalise_gate(y, gate, norm)
    for row in (0, 17, 39):
        alone = normalise_gate(y[row : row + 1], gate[row : row + 1], norm)
        assert torch.equal(alone[0], found[row])


def test_gradients_are_those_of_the_operators():
    y, gate, norm = inputs((3, 10))
    norm.requires_grad_()
    values = [y.requires_grad_(), gate.requires_grad_()]
    assert torch.autograd.gradcheck(lambda *given: normalise_gate(*given, norm), values)
    normalise_gate(y, gate, norm).sum().backward()
    found, norm.weight.grad = norm.weight.grad, None
    expected(y, gate, norm).sum().backward()
    torch.testing.assert_close(found, norm.weight.grad)


def test_a_counter_of_layers_meets_the_norm():
    y, gate, norm = inputs((3, 10), torch.float32)
    met = []
    norm.register_forward_hook(lambda *_: met.append(1))
    with FlopCounterMode(display=False):
        normalise_gate(y, gate, norm)
    assert met


class Doubled(nn.LayerNorm):
    def forward(self, x):
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    "norm",
    [
        Doubled(10),
        nn.LayerNorm(10, bias=False),
        nn.LayerNorm(10, elementwise_affine=False),
        nn.LayerNorm((3, 10)),
    ],
    ids=["subclass", "no shift", "no scale", "of all vectors together"],
)
def test_another_norm_is_called(norm):
    y, gate, _ = inputs((3, 10), torch.float32)
    with torch.no_grad():
        torch.testing.assert_close(normalise_gate(y, gate, norm), expected(y, gate, norm))


@pytest.mark.parametrize(
    "watch",
    [
        lambda norm: norm.register_forward_hook(lambda *call: 0 * call[2]),
        lambda norm: norm.register_forward_pre_hook(lambda _, given: (0 * given[0],)),
    ],
    ids=["after", "before"],
)
def test_hooks_of_the_norm_run(watch):
    y, gate, norm = inputs((3, 10))
    handle = watch(norm)
    found, called = normalise_gate(y, gate, norm), expected(y, gate, norm)
    handle.remove()
    torch.testing.assert_close(found, called, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(normalise_gate(y, gate, norm), called)


@pytest.mark.parametrize("recorded", [True, False])
def test_shapes_that_do_not_fit_are_refused(recorded):
    y, gate, norm = inputs((3, 10))
    with torch.set_grad_enabled(recorded):
        with pytest.raises(
            ConfigError, match=r"normalise_gate: gate must have shape \(3, 10\), got \(1, 10\)"
        ):
            normalise_gate(y.requires_grad_(), gate[:1], norm)
        with pytest.raises(RuntimeError, match="normalized_shape"):
            normalise_gate(y[:, :7], gate[:, :7], norm)
