import pytest
import torch

from dermseg.layers.frequency import FrequencyBlock


@pytest.mark.parametrize("size", [(4, 6), (5, 3), (1, 1), (2, 7)])
def test_a_filter_that_passes_all_gates_by_the_map_itself(size: tuple[int, int]):
    torch.manual_seed(0)
    block = FrequencyBlock(3).double().eval()
    block.filter = torch.nn.Identity()
    block.project = torch.nn.Identity()
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    gated = block.norm_in(x) * torch.sigmoid(block.norm_in(x))
    torch.testing.assert_close(block(x), block.norm_out(gated) + gated)
