"""The patch operations against their layout, pixel by pixel."""

import torch

from dermseg.layers.patch import PatchEmbed, PatchExpand, PatchMerging


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
