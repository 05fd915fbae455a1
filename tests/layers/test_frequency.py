import pytest
import torch

from dermseg.layers.frequency import ChannelNorm, FrequencyBlock


def test_channel_norm_makes_every_pixel_zero_mean_and_unit_variance():
    torch.manual_seed(0)
    normed = ChannelNorm(16)(5 + 3 * torch.randn(2, 16, 3, 4))
    torch.testing.assert_close(normed.mean(1), torch.zeros(2, 3, 4), atol=1e-5, rtol=0)
    torch.testing.assert_close(normed.var(1, correction=0), torch.ones(2, 3, 4), atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [(4, 6), (5, 3), (1, 1), (2, 7)])
def test_a_filter_that_passes_all_gates_by_the_map_itself(size: tuple[int, int]):
    torch.manual_seed(0)
    block = FrequencyBlock(3).double().eval()
    block.filter = torch.nn.Identity()
    block.project = torch.nn.Identity()
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    gated = block.norm_in(x) * torch.sigmoid(block.norm_in(x))
    torch.testing.assert_close(block(x), block.norm_out(gated) + gated)
