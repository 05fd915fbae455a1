"""SS2D against a direct transcription of section 3.3."""

import pytest
import torch
from torch.nn import functional as F

from dermseg.layers.ss2d import SS2D


def scan_sequence(x, step, A, B, C, D):
    """S6 of one channel-last sequence (L, d), step by step: Eqs 3 and 5, with exp(step A) and step B."""
    state, results = torch.zeros_like(A), []
    for t in range(len(x)):
        state = torch.exp(step[t, :, None] * A) * state + step[t, :, None] * B[t] * x[t, :, None]
        results.append(state @ C[t] + D * x[t])
    return torch.stack(results)


def ss2d_of_one_image(layer, x):
    """SS2D by the text: unfold along four directions, project and scan each, put back, add, gate."""
    height, width, _ = x.shape
    scanned, gate = F.linear(x, layer.in_proj.weight).chunk(2, dim=-1)
    weight, bias = layer.conv.weight, layer.conv.bias
    scanned = F.conv2d(scanned.permute(2, 0, 1)[None], weight, bias, padding=1, groups=len(bias))[0]
    scanned = F.silu(scanned).permute(1, 2, 0)
    pixels = torch.arange(height * width)
    by_column = pixels.view(height, width).T.flatten()
    total = torch.zeros_like(scanned).flatten(0, 1)
    for k, order in enumerate([pixels, by_column, pixels.flip(0), by_column.flip(0)]):
        sequence = scanned.flatten(0, 1)[order]
        low, B, C = (sequence @ layer.x_proj[k].T).split([layer.rank, layer.state, layer.state], dim=-1)
        step = F.softplus(low @ layer.step_weight[k].T + layer.step_bias[k])
        total[order] += scan_sequence(sequence, step, -layer.A_log[k].exp(), B, C, layer.D[k])
    total = F.layer_norm(total, total.shape[-1:], layer.norm.weight, layer.norm.bias).view_as(scanned)
    return F.linear(total * F.silu(gate), layer.out_proj.weight)


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 3)])
def test_ss2d_is_the_text_of_section_3_3(size):
    torch.manual_seed(0)
    layer = SS2D(20, state=3).double()  # 20 channels make a step rank of 2
    for parameter in layer.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    x = torch.randn(2, *size, 20, dtype=torch.float64)
    expected = torch.stack([ss2d_of_one_image(layer, image) for image in x])
    torch.testing.assert_close(layer(x), expected)


@torch.no_grad()
def test_ss2d_starts_as_mamba_does():
    layer = SS2D(32, state=5)
    step = F.softplus(layer.step_bias)
    assert step.min() >= 1e-3 * 0.999
    assert step.max() <= 1e-1 * 1.001
    assert step.log().mean().item() == pytest.approx(torch.tensor([1e-3, 1e-1]).log().mean().item(), abs=0.3)
    torch.testing.assert_close(layer.A_log.exp()[2, 7], torch.arange(1.0, 6))
    assert (layer.D == 1).all()


@pytest.mark.filterwarnings("ignore:.*forward-mode:dermseg.errors.DermsegWarning")
def test_transforms_of_functions_see_the_whole_layer():
    torch.manual_seed(0)
    layer = SS2D(8, state=3).double()
    maps = torch.randn(3, 1, 2, 3, 8, dtype=torch.float64)
    for recorded in (True, False):
        with torch.set_grad_enabled(recorded):
            torch.testing.assert_close(torch.vmap(layer)(maps), torch.stack([*map(layer, maps)]))
    found = torch.func.grad(lambda x: layer(x).square().sum())(maps[0])
    x = maps[0].requires_grad_()
    torch.testing.assert_close(found, torch.autograd.grad(layer(x).square().sum(), x)[0])
