"""Depthwise convolution with SiLU: the kernel against the operators of PyTorch."""

import pytest
import torch
from torch.nn import functional as F

from dermseg.ops.depthwise import convolve_silu

SHAPES = [(1, 1, 1, 1), (2, 1, 7, 5), (1, 9, 2, 33), (2, 13, 11, 64), (3, 8, 8, 100), (0, 4, 4, 8)]


def inputs(shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=dtype)
    weight = torch.randn(shape[3], 1, 3, 3, generator=generator, dtype=dtype)
    return x, weight, torch.randn(shape[3], generator=generator, dtype=dtype)


def expected(x, weight, bias):
    convolved = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=1, groups=len(bias))
    return F.silu(convolved).permute(0, 2, 3, 1)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_kernel_equals_the_operators(shape):
    values = inputs(shape)
    torch.testing.assert_close(convolve_silu(*values), expected(*values), rtol=1e-9, atol=1e-9)


def test_single_precision():
    values = inputs((2, 10, 12, 96), torch.float32)
    found = convolve_silu(*values)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected(*values), rtol=1e-5, atol=1e-5)


def test_any_layout_of_the_map():
    both = torch.randn(2, 6, 5, 80, dtype=torch.float64)
    half, _ = both.chunk(2, dim=-1)
    _, weight, bias = inputs((1, 1, 1, 40))
    for x in (half, half.transpose(1, 2), half.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)):
        found = convolve_silu(x, weight, bias)
        torch.testing.assert_close(found, expected(x, weight, bias), rtol=1e-9, atol=1e-9)


def test_an_image_does_not_depend_on_the_others():
    x, weight, bias = inputs((3, 9, 7, 40), torch.float32)
    found = convolve_silu(x, weight, bias)
    for image in range(3):
        assert torch.equal(convolve_silu(x[image : image + 1], weight, bias)[0], found[image])


def test_gradients_are_those_of_the_operators():
    values = [tensor.requires_grad_() for tensor in inputs((1, 3, 4, 5))]
    assert torch.autograd.gradcheck(convolve_silu, values)
