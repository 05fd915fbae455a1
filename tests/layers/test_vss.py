"""The VSS block: what it adds, and when it does not."""

import torch

from dermseg.layers.vss import VSSBlock


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
