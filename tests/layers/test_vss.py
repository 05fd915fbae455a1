"""The VSS block against a direct transcription of section 3.3, and the patch operations against theirs."""

import pytest
import torch
from torch.nn import functional as F

from dermseg.layers.vss import SS2D, PatchEmbed, PatchExpand, PatchMerging, VSSBlock


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


@torch.no_grad()
def test_a_vss_block_adds_its_branch_to_its_input():
    block = VSSBlock(8, drop_path=0.0, state=2)
    x = torch.randn(2, 4, 4, 8)
    torch.testing.assert_close(block(x), x + block.ss2d(block.norm(x)))


@torch.no_grad()
def test_drop_path_skips_the_branch_of_whole_images_in_training_only():
    torch.manual_seed(0)
    block = VSSBlock(8, drop_path=0.5, state=2)
    x = torch.randn(32, 2, 2, 8)
    kept = (block.train()(x) != x).flatten(1)
    assert (kept.all(1) | ~kept.any(1)).all()
    assert 0 < kept.all(1).sum() < 32
    assert (block.eval()(x) != x).flatten(1).all()


@torch.no_grad()
def test_merging_joins_neighbours_column_by_column():
    merging = PatchMerging(1)
    merging.norm = torch.nn.Identity()
    merging.reduction = torch.nn.Identity()
    x = torch.tensor([[0.0, 1.0, 2.0, 3.0], [10.0, 11.0, 12.0, 13.0]])[None, :, :, None]
    assert merging(x)[0, 0].tolist() == [[0, 10, 1, 11], [2, 12, 3, 13]]


@torch.no_grad()
def test_expansion_lays_out_rows_then_columns_then_channels():
    expand = PatchExpand(8, 2, scale=2)
    expand.expand = torch.nn.Identity()
    expand.norm = torch.nn.LayerNorm(2, elementwise_affine=False)
    expand.norm.forward = lambda x: x
    x = torch.arange(8.0).expand(1, 1, 1, 8)
    assert expand(x)[0].tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]


@torch.no_grad()
def test_patches_do_not_overlap():
    embed = PatchEmbed(8)
    image = torch.randn(1, 3, 8, 12)
    changed = image.clone()
    changed[..., 4:8, 4:8] += 1
    differs = (embed(image) != embed(changed)).any(-1)[0]
    assert differs.tolist() == [[False, False, False], [False, True, False]]
