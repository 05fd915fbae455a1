import torch
from torch import nn

from dermseg.layers.reverse_attention import ReverseAttention


@torch.no_grad()
def test_features_count_only_where_the_coarser_map_saw_nothing():
    step = ReverseAttention(nn.Identity())
    coarser = torch.full((1, 1, 2, 2), -50.0)
    coarser[..., 1] = 50.0
    corrected = step(torch.ones(1, 1, 2, 2), coarser)
    assert torch.equal(corrected, coarser + torch.tensor([[1.0, 0.0], [1.0, 0.0]]))


@torch.no_grad()
def test_the_coarser_map_may_be_larger_or_smaller():
    step = ReverseAttention(nn.Conv2d(4, 1, 1))
    for side in (1, 2, 5, 16):
        assert step(torch.randn(2, 4, 5, 7), torch.randn(2, 1, side, side)).shape == (2, 1, 5, 7)
