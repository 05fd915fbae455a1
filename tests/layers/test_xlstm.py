"""The paper's xLSTM blocks: shapes, independence of sequences, order in time, and a good start."""

import os
from unittest import mock

import pytest
import torch
from torch import nn

from dermseg.errors import ConfigError
from dermseg.layers.xlstm import XLSTM, CausalConvolution, MLSTMBlock, SLSTMBlock

BLOCKS = (SLSTMBlock, MLSTMBlock)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def shaken(module):
    """Move every parameter away from its start, so that no part of the block is switched off."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module


@pytest.mark.parametrize("layers", ["", "s", "m", "sm"])
@pytest.mark.parametrize(("batch", "T", "width", "heads"), [(1, 1, 8, 4), (5, 4, 12, 4), (2, 9, 6, 1)])
def test_keeps_the_shape(layers, batch, T, width, heads):
    x = torch.randn(batch, T, width)
    assert XLSTM(width, layers, heads)(x).shape == x.shape


def test_no_layers_are_the_identity_without_parameters():
    xlstm = XLSTM(8, "")
    x = torch.randn(2, 3, 8)
    assert torch.equal(xlstm(x), x)
    assert not list(xlstm.parameters())


def test_layers_come_in_the_order_of_their_letters():
    assert [type(block) for block in XLSTM(8, "sm")] == [SLSTMBlock, MLSTMBlock]


@pytest.mark.parametrize("block", BLOCKS)
def test_sequences_of_a_batch_are_independent(block):
    layer = shaken(block(12, 3)).double()
    x = torch.randn(7, 5, 12, dtype=torch.float64)
    alone = torch.cat([layer(sequence[None]) for sequence in x])
    torch.testing.assert_close(alone, layer(x), rtol=1e-10, atol=1e-12)
    changed = x.clone()
    changed[3] += 1
    others = [0, 1, 2, 4, 5, 6]
    assert torch.equal(layer(changed)[others], layer(x)[others])


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("step", [0, 4, 8])
def test_a_step_reaches_all_later_steps_and_no_earlier_one(block, step):
    layer = shaken(block(8, 2)).double()
    x = torch.randn(1, 9, 8, dtype=torch.float64)
    changed = x.clone()
    changed[:, step] += torch.randn(8)
    difference = (layer(changed) - layer(x)).abs().amax(dim=(0, 2))
    assert (difference[:step] == 0).all()
    assert (difference[step:] > 0).all()


@pytest.mark.parametrize("layers", ["s", "m", "sm"])
def test_starts_near_the_identity_and_trains_every_parameter(layers):
    xlstm = XLSTM(48, layers)
    x = torch.randn(16, 4, 48)
    y = xlstm(x)
    assert 0 < (y - x).std() < 0.2
    (y * torch.randn_like(y)).sum().backward()
    for name, parameter in xlstm.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("layers", ["s", "m", "sm"])
def test_learns_to_recall_the_first_step_at_the_last(layers):
    # The target is beyond the reach of two convolutions: only the memory can carry it.
    xlstm = XLSTM(16, layers)
    head = nn.Linear(16, 1)
    optimizer = torch.optim.AdamW([*xlstm.parameters(), *head.parameters()], lr=1e-2)
    for _ in range(60):
        x = torch.randn(64, 8, 16)
        x[:, 0, 0] = x[:, 0, 0].sign()
        loss = nn.functional.soft_margin_loss(head(xlstm(x)[:, -1])[:, 0], x[:, 0, 0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.35  # chance is log 2 = 0.69


@pytest.mark.parametrize("block", BLOCKS)
def test_reference_and_fast_path_give_the_same(block):
    layer = shaken(block(12, 2)).double()
    x = torch.randn(3, 6, 12, dtype=torch.float64, requires_grad=True)
    results = []
    for name in ("reference", "numba"):
        with mock.patch.dict(os.environ, DERMSEG_BACKEND=name):
            y = layer(x)
        results.append((y, *torch.autograd.grad(y.square().sum(), (x, *layer.parameters()))))
    torch.testing.assert_close(*results, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_survives_constant_and_huge_inputs(block, scale):
    layer = block(8, 2)
    with torch.no_grad():
        layer.W_i.bias.fill_(200)
        layer.W_f.bias.fill_(-200)
    x = torch.full((2, 5, 8), scale).requires_grad_()
    y = layer(x)
    y.sum().backward()
    assert y.isfinite().all()
    assert x.grad.isfinite().all()


@torch.no_grad()
def test_the_slstm_block_is_its_equations():
    layer = shaken(SLSTMBlock(6, 2)).double()  # two heads of 3, inner width 8
    x = torch.randn(1, 5, 6, dtype=torch.float64)
    normed = layer.norm(x)
    recent = nn.functional.silu(layer.convolution(normed))
    seen = {"z": normed, "i": recent, "f": recent, "o": normed}
    gates = {name: getattr(layer, f"W_{name}")(given).view(5, 2, 3) for name, given in seen.items()}
    c, n, h, hidden = *torch.zeros(3, 2, 3).double(), []
    for t in range(5):
        past = dict(zip("zifo", torch.einsum("ghij,hj->ghi", layer.R, h), strict=True))
        z, i, f, o = (gates[name][t] + past[name] for name in "zifo")
        c = f.exp() * c + i.exp() * z.tanh()  # Eq 6
        n = f.exp() * n + i.exp()  # Eq 7
        h = o.sigmoid() * c / n  # Eq 8
        hidden.append(h)
    h = nn.functional.layer_norm(torch.stack(hidden), (3,)).flatten(1)
    h = h * layer.head_norm.weight + layer.head_norm.bias
    right = layer.up_right(h)
    gelu = right * (1 + torch.erf(right / 2**0.5)) / 2
    expected = layer.down(layer.up_left(h) * gelu) + x  # Eqs 9, 10
    torch.testing.assert_close(layer(x), expected)


@torch.no_grad()
def test_the_mlstm_block_is_its_equations():
    layer = shaken(MLSTMBlock(8, 2)).double()  # inner width 16, so d = 8
    x = torch.randn(1, 5, 8, dtype=torch.float64)
    normed = layer.norm(x)
    left = layer.up_left(normed)
    recent = nn.functional.silu(layer.convolution(left))
    k = recent @ layer.W_k.weight.T / 8**0.5 + layer.W_k.bias  # Eq 11 scales before the bias
    q, k, v, o = (y.view(5, 2, 8) for y in (layer.W_q(recent), k, layer.W_v(left), layer.W_o(left)))
    i, f = layer.W_i(recent)[0].exp(), layer.W_f(recent)[0].sigmoid()
    C, n, h = torch.zeros(2, 8, 8).double(), torch.zeros(2, 8).double(), []
    for t in range(5):
        C = f[t, :, None, None] * C + i[t, :, None, None] * v[t, :, :, None] * k[t, :, None]
        n = f[t, :, None] * n + i[t, :, None] * k[t]
        overlap = (n * q[t]).sum(-1, keepdim=True).abs().clamp(min=1)
        h.append(o[t].sigmoid() * torch.einsum("hij,hj->hi", C, q[t]) / overlap)
    h = nn.functional.layer_norm(torch.stack(h), (8,)).flatten(1)
    h = h * layer.head_norm.weight + layer.head_norm.bias + layer.skip * recent
    expected = layer.down(h * nn.functional.silu(layer.up_right(normed))) + x
    torch.testing.assert_close(layer(x), expected)


def test_causal_convolution_equals_the_library_one():
    layer = CausalConvolution(5)
    with torch.no_grad():
        layer.bias.normal_()
    x = torch.randn(2, 6, 5)
    padded = nn.functional.pad(x.mT, (3, 0))
    expected = nn.functional.conv1d(padded, layer.weight.T[:, None], layer.bias, groups=5).mT
    torch.testing.assert_close(layer(x), expected)


def test_compiles_as_one_graph():
    xlstm = XLSTM(8, "sm", heads=2)
    x = torch.randn(3, 4, 8, requires_grad=True)
    compiled = torch.compile(xlstm, backend="aot_eager", fullgraph=True)
    inputs = (x, *xlstm.parameters())
    expected = torch.autograd.grad(xlstm(x).square().sum(), inputs)
    torch.testing.assert_close(torch.autograd.grad(compiled(x).square().sum(), inputs), expected)


def test_autocast_keeps_the_result_close():
    xlstm = XLSTM(16, "sm")
    x = torch.randn(3, 4, 16)
    with torch.autocast("cpu", torch.bfloat16):
        y = xlstm(x)
    torch.testing.assert_close(y.float(), xlstm(x), rtol=0.05, atol=0.05)


def test_wrong_arguments_are_named():
    with pytest.raises(ConfigError, match="xlstm_layers='ms'"):
        XLSTM(8, "ms")
    with pytest.raises(ConfigError, match="heads=4"):
        XLSTM(10, "s", heads=4)
    with pytest.raises(ConfigError, match="heads=0"):
        XLSTM(10, "m", heads=0)
