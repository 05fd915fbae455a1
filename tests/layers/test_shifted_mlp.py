import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dermseg.layers.shifted_mlp import COLUMNS, ROWS, shift


@given(
    channels=st.integers(5, 26),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    axis=st.sampled_from([2, 3]),
)
def test_every_group_moves_by_its_own_distance(channels, height, width, axis):
    x = torch.randn(2, channels, height, width)
    moved = shift(x, axis)
    assert moved.shape == x.shape
    size = -(-channels // 5)
    for channel in range(channels):
        by = channel // size - 2
        for place in range(x.shape[axis]):
            source = place - by
            inside = 0 <= source < x.shape[axis]
            expected = x[:, channel].select(axis - 1, source) if inside else torch.zeros(())
            found = moved[:, channel].select(axis - 1, place)
            assert torch.equal(found, expected.expand_as(found))


@pytest.mark.parametrize(("axis", "place"), [(ROWS, (5, 3)), (COLUMNS, (3, 5))])
def test_the_last_group_moves_down_or_right(axis, place):
    x = torch.zeros(1, 10, 7, 7)
    x[0, -1, 3, 3] = 1
    assert shift(x, axis)[0, -1].nonzero().tolist() == [list(place)]
