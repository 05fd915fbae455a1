import pytest
import torch
from torch.nn import functional as F

from dermseg.layers.mamba import Mamba
from dermseg.layers.ss2d import STEP_RANGE


def layer(width: int = 6, state: int = 3) -> Mamba:
    torch.manual_seed(0)
    return Mamba(width, state).double()


def test_no_token_sees_a_later_one():
    mamba, tokens = layer(), torch.randn(2, 9, 6, dtype=torch.float64)
    changed = tokens.clone()
    changed[:, 5] += 1
    before, after = mamba(tokens), mamba(changed)
    assert torch.equal(before[:, :5], after[:, :5])
    assert all((before[:, step] != after[:, step]).any() for step in range(5, 9))


def test_the_first_token_passes_as_its_equations_say():
    mamba = layer()
    token = torch.randn(1, 1, 6, dtype=torch.float64)
    scanned, gate = F.linear(token[0, 0], mamba.in_proj.weight).chunk(2)
    scanned = F.silu(mamba.conv.weight[:, 0, -1] * scanned + mamba.conv.bias)
    low_rank, B, C = mamba.x_proj(scanned).split([1, 3, 3])
    step = F.softplus(mamba.step_proj(low_rank))
    y = step * scanned * (B @ C) + mamba.D * scanned
    torch.testing.assert_close(mamba(token)[0, 0], mamba.out_proj(y * F.silu(gate)))


@pytest.mark.parametrize(("width", "rank"), [(6, 1), (16, 1), (17, 2), (64, 4)])
def test_step_sizes_have_a_sixteenth_of_the_width_as_rank_and_begin_in_their_range(width: int, rank: int):
    mamba = layer(width)
    assert mamba.step_proj.in_features == rank
    steps = F.softplus(mamba.step_proj.bias)
    assert steps.min() >= 0.999 * STEP_RANGE[0]
    assert steps.max() <= 1.001 * STEP_RANGE[1]
