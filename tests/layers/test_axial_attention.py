"""The released passes of attention against loops over lines and places."""

import pytest
import torch

from dermseg.layers.axial_attention import AxialAttention, LineAttention


def filled(module):
    """Give every parameter, also those that start at 0, a value that matters."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.5 * torch.randn_like(parameter))
    return module.double()


def looped(attention, x, length):
    """The pass as its docstring tells it, for one image."""
    flat = [part(x[None])[0].flatten() for part in (attention.query, attention.key, attention.value)]
    query, key, value = (part.view(-1, length) for part in flat)
    attended = torch.zeros_like(value)
    for place in range(length):
        for other in range(length):
            weight = torch.sigmoid(sum(query[line, place] * key[line, other] for line in range(len(query))))
            attended[:, place] += weight * value[:, other]
    return x + attention.gamma * attended.view(x.shape)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (3, 5), (6, 2), (1, 3)])
@torch.no_grad()
def test_a_pass_equals_the_loops_for_lines_of_either_length(height, width):
    attention = filled(LineAttention(8))
    x = torch.randn(2, 8, height, width, dtype=torch.float64)
    for length in (height, width):
        expected = torch.stack([looped(attention, image, length) for image in x])
        torch.testing.assert_close(attention(x, length), expected)


@torch.no_grad()
def test_both_passes_cut_lines_from_the_rows_as_released():
    module = filled(AxialAttention(8))
    x = torch.randn(1, 8, 3, 5, dtype=torch.float64)
    expected = looped(module.height, module.conv1(module.conv0(x))[0], 3)
    torch.testing.assert_close(module(x)[0], looped(module.width, expected, 5))


@torch.no_grad()
def test_a_new_attention_leaves_its_input_as_it_is():
    attention = LineAttention(16)
    x = torch.randn(1, 16, 4, 4)
    assert torch.equal(attention(x, 4), x)
