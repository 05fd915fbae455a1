"""The decoder's stage at half of the image: what reaches its result, and from how far."""

import torch

from dermseg.layers.half_stage import HalfStage


@torch.no_grad()
def test_without_its_block_it_is_expansion_plus_skip():
    stage = HalfStage(8, 6)
    stage.narrow.weight.zero_()
    stage.narrow.bias.zero_()
    x, skip = torch.randn(2, 3, 5, 8), torch.randn(2, 6, 10, 6)
    assert torch.equal(stage(x, skip), stage.expand(x) + skip)


def test_a_pixel_depends_on_its_neighbours_and_on_no_other():
    stage = HalfStage(8, 6)
    skip = torch.randn(1, 8, 8, 6, requires_grad=True)
    stage(torch.randn(1, 4, 4, 8), skip)[0, 3, 4].sum().backward()
    reached = skip.grad[0].abs().sum(-1) > 0
    expected = torch.zeros(8, 8, dtype=torch.bool)
    expected[2:5, 3:6] = True
    assert torch.equal(reached, expected)
