import torch

from dermseg.layers.attention import ChannelAttention, SpatialAttention
from dermseg.layers.bridge import Bridge


def test_channel_attention_gives_every_pixel_of_a_channel_the_same_factor():
    torch.manual_seed(0)
    attention = ChannelAttention(6, reduction=3).double()
    x = torch.rand(2, 6, 3, 5, dtype=torch.float64) + 1
    factors = attention(x) / x
    torch.testing.assert_close(factors, factors[:, :, :1, :1].expand_as(factors))
    assert factors.min() > 0
    assert factors.max() < 1
    assert factors.std(dim=1).min() > 0


def test_channel_attention_reads_mean_and_maximum():
    torch.manual_seed(0)
    attention = ChannelAttention(6, reduction=3)
    x = torch.rand(1, 6, 4, 4)
    louder = x.clone()
    louder[:, :, 0, 0] = 3
    louder[:, :, 1:] -= (louder.mean((2, 3)) - x.mean((2, 3)))[:, :, None, None] * 4 / 3
    torch.testing.assert_close(louder.mean((2, 3)), x.mean((2, 3)))  # the means alone are the same
    assert not torch.allclose(
        attention(louder)[0, :, 0, 1] / louder[0, :, 0, 1], (attention(x) / x)[0, :, 0, 1]
    )


def test_spatial_attention_gives_every_channel_of_a_pixel_the_same_factor():
    torch.manual_seed(0)
    attention = SpatialAttention(3).double()
    x = torch.rand(2, 4, 5, 3, dtype=torch.float64) + 1
    factors = attention(x) / x
    torch.testing.assert_close(factors, factors[:, :1].expand_as(factors))
    assert factors.flatten(1).std(dim=1).min() > 0


def test_a_dilated_window_reaches_as_far_as_it_says():
    torch.manual_seed(0)
    attention = SpatialAttention(7, dilation=3)
    x = torch.rand(1, 2, 1, 31)
    changed = x.clone()
    changed[..., 15] += 1
    reached = (attention(x) != attention(changed)).any(1)[0, 0].nonzero().flatten()
    assert reached.tolist() == [6, 9, 12, 15, 18, 21, 24]


def test_the_bridge_shows_every_level_the_channels_of_all():
    torch.manual_seed(0)
    bridge = Bridge((4, 8)).eval()
    fine, coarse = torch.rand(1, 4, 8, 8), torch.rand(1, 8, 4, 4)
    alone, louder = bridge([fine, coarse]), bridge([fine, 2 * coarse])
    assert [x.shape for x in alone] == [fine.shape, coarse.shape]
    assert not torch.equal(alone[0], louder[0])
