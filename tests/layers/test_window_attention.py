import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dermseg.layers.window_attention import SwinBlock, WindowAttention


def attend(layer, x):
    """Attend from every token to those of its window that are its neighbours in the image, one by one."""
    _, rows, columns, channels = x.shape
    down, across = (layer.shift if side > layer.window else 0 for side in (rows, columns))
    heads, window = layer.heads, layer.window
    q, k, v = layer.qkv(x).unflatten(-1, (3, heads, -1)).unbind(3)

    def home(token, shift, side):
        """Window of a token along an axis, and which side of the wrapped border it is on."""
        filled = side + -side % window
        return ((token - shift) % filled) // window, token < shift

    result = torch.zeros_like(x)
    places = [(row, column) for row in range(rows) for column in range(columns)]
    homes = {place: (home(place[0], down, rows), home(place[1], across, columns)) for place in places}
    for place in places:
        seen = [other for other in places if homes[other] == homes[place]]
        index = [
            (2 * window - 1) * (place[0] - other[0] + window - 1) + place[1] - other[1] + window - 1
            for other in seen
        ]
        keys = torch.stack([k[:, *other] for other in seen], dim=1)
        values = torch.stack([v[:, *other] for other in seen], dim=1)
        scores = torch.einsum("bhd,bthd->bth", q[:, *place], keys) / (channels // heads) ** 0.5
        weights = (scores + layer.bias_table[index]).softmax(1)
        result[:, *place] = torch.einsum("bth,bthd->bhd", weights, values).flatten(1)
    return layer.projection(result)


@given(rows=st.integers(1, 9), columns=st.integers(1, 9), window=st.integers(1, 4), data=st.data())
@settings(max_examples=25)
@torch.no_grad()
def test_tokens_see_their_window_and_neither_the_filling_nor_across_the_border(rows, columns, window, data):
    shift = data.draw(st.integers(0, window - 1))
    torch.manual_seed(0)
    layer = WindowAttention(6, heads=2, window=window, shift=shift).double()
    layer.bias_table.normal_()
    x = torch.randn(2, rows, columns, 6, dtype=torch.float64)
    torch.testing.assert_close(layer(x), attend(layer, x), atol=1e-12, rtol=1e-12)


@torch.no_grad()
def test_a_block_adds_attention_and_then_an_mlp():
    block = SwinBlock(8, heads=2, window=2, shift=1).eval()
    x = torch.randn(1, 4, 6, 8)
    attended = x + block.attention(block.attention_norm(x))
    torch.testing.assert_close(block(x), attended + block.mlp(block.mlp_norm(attended)))


def test_half_of_the_images_skip_a_branch_in_training():
    block = SwinBlock(4, heads=1, window=2, shift=0, drop_path=0.5).train()
    torch.nn.init.zeros_(block.mlp[2].weight)
    torch.nn.init.zeros_(block.mlp[2].bias)
    x = torch.randn(200, 2, 2, 4)
    untouched = (block(x) == x).flatten(1).all(1).float().mean().item()
    assert untouched == pytest.approx(0.5, abs=0.15)
