import torch
from torch import nn

from dermseg.layers.selective_kernel import PooledBatchNorm, SelectiveKernel


def test_the_result_lies_between_the_branches():
    torch.manual_seed(0)
    layer = SelectiveKernel(4).eval()
    x = torch.randn(2, 4, 9, 7)
    first, second = (branch(x) for branch in layer.branches)
    mixed = layer(x)
    assert (mixed >= torch.minimum(first, second) - 1e-6).all()
    assert (mixed <= torch.maximum(first, second) + 1e-6).all()


def test_one_image_alone_trains_with_the_running_statistics():
    torch.manual_seed(0)
    layer = SelectiveKernel(4).train()
    norm = layer.squeeze[1]
    norm.running_mean += 0.5
    before = norm.running_mean.clone()
    layer(torch.randn(1, 4, 8, 8)).sum().backward()
    assert torch.equal(norm.running_mean, before)
    layer(torch.randn(2, 4, 8, 8))
    assert not torch.equal(norm.running_mean, before)


def test_pooled_norm_is_batch_norm_for_two_images_and_more():
    torch.manual_seed(0)
    ours, theirs = PooledBatchNorm(3), nn.BatchNorm2d(3)
    x = torch.randn(4, 3, 1, 1)
    assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.running_var, theirs.running_var)
