import torch

from dermseg.layers.channel_norm import ChannelNorm


def test_channel_norm_makes_every_pixel_zero_mean_and_unit_variance():
    torch.manual_seed(0)
    normed = ChannelNorm(16)(5 + 3 * torch.randn(2, 16, 3, 4))
    torch.testing.assert_close(normed.mean(1), torch.zeros(2, 3, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(normed.var(1, correction=0), torch.ones(2, 3, 4), atol=1e-4, rtol=0)
