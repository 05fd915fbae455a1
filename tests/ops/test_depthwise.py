"""Depthwise convolution with SiLU: the kernel against the operators of PyTorch."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune
from torch.utils.flop_counter import FlopCounterMode

from dermseg.ops.depthwise import convolve_silu

SHAPES = [(1, 1, 1, 1), (2, 1, 7, 5), (1, 9, 2, 33), (2, 13, 11, 64), (3, 8, 8, 100), (0, 4, 4, 8)]


def inputs(shape, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=dtype)
    channels = shape[3]
    convolution = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, dtype=dtype)
    convolution.requires_grad_(requires_grad=False).weight.normal_(generator=generator)
    convolution.bias.normal_(generator=generator)
    return x, convolution


def expected(x, convolution):
    return F.silu(convolution(x.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)


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
    _, convolution = inputs((1, 1, 1, 40))
    for x in (half, half.transpose(1, 2), half.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)):
        found = convolve_silu(x, convolution)
        torch.testing.assert_close(found, expected(x, convolution), rtol=1e-9, atol=1e-9)


def test_an_image_does_not_depend_on_the_others():
    x, convolution = inputs((3, 9, 7, 40), torch.float32)
    found = convolve_silu(x, convolution)
    for image in range(3):
        assert torch.equal(convolve_silu(x[image : image + 1], convolution)[0], found[image])


def test_gradients_are_those_of_the_operators():
    x, convolution = inputs((1, 3, 4, 5))
    convolution.requires_grad_()
    assert torch.autograd.gradcheck(lambda given: convolve_silu(given, convolution), [x.requires_grad_()])
    convolve_silu(x, convolution).sum().backward()
    found, convolution.weight.grad = convolution.weight.grad, None
    expected(x, convolution).sum().backward()
    torch.testing.assert_close(found, convolution.weight.grad)


def test_a_counter_of_layers_meets_the_convolution():
    x, convolution = inputs((1, 3, 4, 5), torch.float32)
    met = []
    convolution.register_forward_hook(lambda *_: met.append(1))
    with FlopCounterMode(display=False):
        convolve_silu(x, convolution)
    assert met


def without_bias(convolution):
    convolution.bias = None


@pytest.mark.parametrize(
    "modify",
    [
        without_bias,
        parametrizations.weight_norm,
        lambda convolution: prune.l1_unstructured(convolution, "weight", 0.5),
        lambda convolution: prune.random_unstructured(convolution, "bias", 0.5),
    ],
    ids=["no bias", "weight norm", "pruned weight", "pruned bias"],
)
def test_a_modified_convolution_is_called(modify):
    x, convolution = inputs((1, 5, 4, 8))
    modify(convolution)
    with torch.no_grad():
        found = convolve_silu(x, convolution)
    torch.testing.assert_close(found, expected(x, convolution), rtol=1e-9, atol=1e-9)


def test_a_pruned_weight_is_masked_anew_at_every_call():
    x, convolution = inputs((1, 5, 4, 8))
    prune.l1_unstructured(convolution, "weight", 0.5)
    with torch.no_grad():
        convolution.weight_orig += 1
        found = convolve_silu(x, convolution)
    torch.testing.assert_close(found, expected(x, convolution), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "watch",
    [
        lambda layer: layer.register_forward_hook(lambda *call: 0 * call[2]),
        lambda layer: layer.register_forward_pre_hook(lambda _, given: (0 * given[0],)),
        lambda _: nn.modules.module.register_module_forward_hook(lambda *call: 0 * call[2]),
    ],
    ids=["after", "before", "of all layers"],
)
def test_hooks_of_the_convolution_run(watch):
    x, convolution = inputs((1, 5, 4, 8))
    handle = watch(convolution)
    found, called = convolve_silu(x, convolution), expected(x, convolution)
    handle.remove()
    torch.testing.assert_close(found, called, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(convolve_silu(x, convolution), called)


@pytest.mark.parametrize(
    "other",
    [
        {"padding": 2, "dilation": 2},
        {"padding": 1, "stride": 2},
        {"padding": 0},
        {"padding": 1, "padding_mode": "reflect"},
        {"kernel_size": 5, "padding": 2},
        {"padding": 1, "groups": 1},
        {"padding": 1, "out_channels": 16},
    ],
    ids=str,
)
def test_another_convolution_is_called(other):
    x, _ = inputs((1, 5, 6, 8))
    usual = {"in_channels": 8, "out_channels": 8, "kernel_size": 3, "groups": 8}
    convolution = nn.Conv2d(**{**usual, **other}, dtype=x.dtype)
    with torch.no_grad():
        found = convolve_silu(x, convolution)
    torch.testing.assert_close(found, expected(x, convolution), rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_channels_that_do_not_fit_are_refused():
    x, convolution = inputs((1, 5, 4, 8))
    with pytest.raises(RuntimeError, match="channels"):
        convolve_silu(x[..., :4], convolution)
