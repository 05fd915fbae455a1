"""Layer normalisation times a SiLU gate: the kernel against the operators of PyTorch."""

import pytest
import torch
from torch.nn import functional as F

from dermseg.ops.gate import normalise_gate

SHAPES = [(1, 1), (3, 7), (2, 5, 64), (2, 9, 11, 100), (1, 16, 16, 192), (0, 8)]


def inputs(shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    y, gate = (torch.randn(shape, generator=generator, dtype=dtype) * 3 + 1 for _ in range(2))
    weight, bias = (torch.randn(shape[-1], generator=generator, dtype=dtype) for _ in range(2))
    return y, gate, weight, bias


def expected(y, gate, weight, bias, eps=1e-5):
    return F.layer_norm(y, weight.shape, weight, bias, eps) * F.silu(gate)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_kernel_equals_the_operators(shape):
    values = inputs(shape)
    torch.testing.assert_close(normalise_gate(*values, 1e-5), expected(*values), rtol=1e-9, atol=1e-9)


def test_single_precision_and_large_gates():
    y, gate, weight, bias = inputs((5, 96), torch.float32)
    gate *= 100
    found = normalise_gate(y, gate, weight, bias, 1e-5)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected(y, gate, weight, bias), rtol=2e-5, atol=2e-4)


def test_a_gate_may_be_one_half_of_a_larger_map():
    both = torch.randn(2, 6, 5, 80, dtype=torch.float64)
    _, gate = both.chunk(2, dim=-1)
    y, _, weight, bias = inputs((2, 6, 5, 40))
    torch.testing.assert_close(
        normalise_gate(y, gate, weight, bias, 1e-5), expected(y, gate, weight, bias), rtol=1e-9, atol=1e-9
    )


def test_any_layout_of_the_vectors():
    y, gate, weight, bias = inputs((4, 6, 24))
    y, gate = (x.permute(1, 0, 2) for x in (y, gate))
    torch.testing.assert_close(
        normalise_gate(y, gate, weight, bias, 1e-5), expected(y, gate, weight, bias), rtol=1e-9, atol=1e-9
    )


def test_a_vector_does_not_depend_on_the_others():
    y, gate, weight, bias = inputs((40, 70), torch.float32)
    found = normalise_gate(y, gate, weight, bias, 1e-5)
    for row in (0, 17, 39):
        alone = normalise_gate(y[row : row + 1], gate[row : row + 1], weight, bias, 1e-5)
        assert torch.equal(alone[0], found[row])


def test_gradients_are_those_of_the_operators():
    values = [x.requires_grad_() for x in inputs((3, 10))]
    assert torch.autograd.gradcheck(lambda *given: normalise_gate(*given, 1e-5), values)
