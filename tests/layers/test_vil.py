"""The block of Vision-LSTM against its definition written out; order of tokens, start, extreme inputs."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dermseg.errors import ConfigError
from dermseg.layers.vil import HEADS, KERNEL, ViLBlock, ViLLayer


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def shaken(width: int, *, backwards: bool = False) -> ViLBlock:
    """In float64, with every parameter away from its start, so that no part is switched off."""
    block = ViLBlock(width, backwards=backwards).double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return block


def tokens(batch: int, length: int, width: int) -> Tensor:
    return torch.randn(batch, length, width, dtype=torch.float64)


def written_out(layer: ViLLayer, x: Tensor, added: float = 0.0) -> Tensor:
    """One sequence (L, width), token by token and head by head; `added` to the divisor of what is stored."""
    stored, gate = layer.in_proj(x).chunk(2, dim=-1)
    length, channels = stored.shape
    convolved = layer.conv.bias.repeat(length, 1)
    for back in range(min(KERNEL, length)):
        convolved[back:] += layer.conv.weight[:, 0, -1 - back] * stored[: length - back]
    recent = F.silu(convolved)
    q, k, v = recent @ dense(layer.W_q), recent @ dense(layer.W_k), stored @ dense(layer.W_v)
    seen = torch.cat([q, k, v], dim=1)
    log_i, log_f = layer.W_i(seen), F.logsigmoid(layer.W_f(seen))
    h = torch.zeros_like(stored)
    for head, part in enumerate(torch.arange(channels).chunk(HEADS)):
        C, n, m = torch.zeros(len(part), len(part)), torch.zeros(len(part)), torch.tensor(-math.inf)
        for t in range(length):
            i, f, key = log_i[t, head].exp(), log_f[t, head].exp(), k[t, part] / math.sqrt(len(part))
            C, n = f * C + i * torch.outer(v[t, part], key), f * n + i * key
            m = torch.maximum(log_f[t, head] + m, log_i[t, head])
            h[t, part] = C @ q[t, part] / ((n @ q[t, part]).abs().clamp(min=1) + added * m.exp())
    normed = torch.cat([F.layer_norm(x, x.shape[1:]) for x in h.chunk(HEADS, dim=1)], dim=1)
    return layer.out_proj((normed * layer.scale + layer.skip * recent) * F.silu(gate))


def dense(projection) -> Tensor:
    return torch.block_diag(*projection.weight).mT


@torch.no_grad()
@pytest.mark.parametrize(("length", "width"), [(1, 4), (2, 8), (9, 12), (70, 4)])
@pytest.mark.parametrize("gate", [0.0, 8.0])
def test_equals_its_definition(length: int, width: int, gate: float):
    layer = shaken(width).layer
    layer.W_i.bias += gate
    x = tokens(1, length, width)
    torch.testing.assert_close(layer(x)[0], written_out(layer, x[0]), atol=1e-9, rtol=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("gate", [-8.0, 0.0, 8.0])
def test_what_the_release_adds_to_the_divisor_leaves_no_trace(gate: float):
    layer = shaken(8).layer
    layer.W_i.bias += gate
    x = tokens(1, 40, 8)
    torch.testing.assert_close(layer(x)[0], written_out(layer, x[0], added=1e-6), atol=1e-6, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("step", [0, 4, 8])
def test_a_token_reaches_those_read_later_and_no_other(step: int, backwards: bool):
    block, x = shaken(8, backwards=backwards), tokens(1, 9, 8)
    changed = x.clone()
    changed[:, step] += torch.randn(8)
    reached = (block(changed) - block(x)).abs().amax(dim=(0, 2)) > 0
    later = range(step + 1) if backwards else range(step, 9)
    assert [place for place, differs in enumerate(reached) if differs] == list(later)


@torch.no_grad()
def test_what_enters_is_added_as_it_is():
    block, x = shaken(8), tokens(2, 5, 8)
    block.layer.out_proj.weight.zero_()
    assert torch.equal(block(x), x)


@torch.no_grad()
def test_sequences_of_a_batch_are_independent():
    block, x = shaken(8), tokens(3, 7, 8)
    torch.testing.assert_close(torch.cat([block(one[None]) for one in x]), block(x), atol=1e-12, rtol=1e-10)


def test_starts_with_long_memories_that_do_not_depend_on_the_input():
    layer = ViLLayer(32)
    assert not layer.W_i.weight.any()
    assert not layer.W_f.weight.any()
    assert layer.W_f.bias.tolist() == [3, 4, 5, 6]
    assert layer.in_proj.weight.std().item() == pytest.approx(math.sqrt(2 / (5 * 32)), rel=0.1)
    assert layer.W_q.weight.std().item() == pytest.approx(math.sqrt(2 / (5 * 32)), rel=0.2)
    assert layer.out_proj.weight.std().item() == pytest.approx(2 / math.sqrt(32), rel=0.1)


@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_survives_constant_and_huge_inputs(scale: float):
    block = ViLBlock(8)
    with torch.no_grad():
        block.layer.W_i.bias.fill_(200)
        block.layer.W_f.bias.fill_(-200)
    x = torch.full((2, 5, 8), scale).requires_grad_()
    y = block(x)
    y.sum().backward()
    assert y.isfinite().all()
    assert all(tensor.grad.isfinite().all() for tensor in (x, *block.parameters()))


@pytest.mark.parametrize("width", [0, 6])
def test_an_impossible_width_is_refused(width: int):
    with pytest.raises(ConfigError, match=f"multiple of 4, got {width}"):
        ViLBlock(width)
