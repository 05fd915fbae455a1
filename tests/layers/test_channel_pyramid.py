import torch

from dermseg.layers.channel_pyramid import ChannelPyramid


def reach(model, x):
    """Rows that the middle of the output depends on, counted from the middle."""
    x = x.requires_grad_()
    middle = x.shape[-1] // 2
    model(x)[:, :, middle, middle].sum().backward()
    rows = x.grad.abs().sum((0, 1, 3)).nonzero()[:, 0]
    return middle - rows.min().item(), rows.max().item() - middle


def test_the_widest_branch_sees_three_steps_of_nine_pixels_beyond_the_first_convolution():
    torch.manual_seed(0)
    model = ChannelPyramid(32).eval().double()
    assert reach(model, torch.randn(1, 32, 65, 65, dtype=torch.float64)) == (28, 28)


@torch.no_grad()
def test_the_input_is_added():
    torch.manual_seed(0)
    model = ChannelPyramid(32).eval()
    model.join.weight.zero_()
    x = torch.randn(2, 32, 5, 9)
    assert torch.equal(model(x), x)


@torch.no_grad()
def test_sums_run_from_the_narrowest_branch_to_the_widest():
    torch.manual_seed(0)
    model = ChannelPyramid(32).eval()
    seen = []
    model.leave.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x = torch.randn(1, 32, 20, 20)
    model(x)
    parts = [branch(model.narrow(model.enter(x))) for branch in model.branches]
    torch.testing.assert_close(seen[0][:, :8], parts[0])
    torch.testing.assert_close(seen[0][:, 24:], sum(parts))
