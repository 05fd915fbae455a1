import pytest
import torch
from torch.nn import functional as F

from dermseg.layers.weight_standardised import Bottleneck, StandardisedConv2d, StandardisedResNet


@torch.no_grad()
def test_only_the_shape_of_a_kernel_counts_not_its_mean_or_scale():
    conv = StandardisedConv2d(3, 4, 3).double()
    x = torch.randn(2, 3, 5, 7, dtype=torch.float64)
    expected = conv(x)
    conv.weight.mul_(torch.tensor([1.0, 2.0, 3.0, 50.0]).view(4, 1, 1, 1)).add_(0.3)
    torch.testing.assert_close(conv(x), expected, atol=1e-3, rtol=1e-2)
    kernels = conv.weight.flatten(1)
    standard = (kernels - kernels.mean(1, keepdim=True)) / (
        kernels.var(1, correction=0, keepdim=True) + 1e-5
    ).sqrt()
    torch.testing.assert_close(conv(x), F.conv2d(x, standard.view_as(conv.weight), padding=1))


@torch.no_grad()
def test_a_shortcut_is_projected_only_where_the_shape_changes():
    same, changing = Bottleneck(128, 128), Bottleneck(128, 256, stride=2)
    x = torch.randn(2, 128, 7, 5)
    for block in (same, changing):
        block.norm3.weight.zero_()
    assert torch.equal(same(x), F.relu(x))
    projected = changing.shortcut.norm(changing.shortcut.conv(x))
    assert projected.shape == (2, 256, 4, 3)
    torch.testing.assert_close(projected.mean((2, 3)), torch.zeros(2, 256), atol=1e-5, rtol=0)
    assert torch.equal(changing(x), F.relu(projected))


@pytest.mark.parametrize(("height", "width"), [(64, 32), (16, 48)])
@torch.no_grad()
def test_the_map_at_a_quarter_is_filled_up_as_a_skip_only(height, width):
    network = StandardisedResNet(32, (1, 1, 1)).eval()
    seen = []
    network.stages[1].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    skips, coarsest = network(torch.randn(1, 3, height, width))
    sizes = [(height // factor, width // factor) for factor in (2, 4, 8, 16)]
    assert [tuple(x.shape[2:]) for x in (*skips, coarsest)] == sizes
    assert torch.equal(skips[1][:, :, :-1, :-1], seen[0])
    assert not skips[1][:, :, -1].any()
    assert not skips[1][:, :, :, -1].any()
