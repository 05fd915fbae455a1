import pytest
import torch

from dermseg.layers.convolution import (
    AttentionGate,
    PreActivationBlock,
    RecurrentConvolution,
    RecurrentResidualBlock,
    UpConvolution,
)


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
@torch.no_grad()
def test_a_recurrent_convolution_sees_its_input_at_every_step(steps):
    layer, x = RecurrentConvolution(4, steps).eval(), torch.randn(2, 4, 5, 7)
    expected = torch.zeros_like(x)
    for _ in range(steps + 1):
        expected = layer.convolution(x + expected)
    torch.testing.assert_close(layer(x), expected)


@torch.no_grad()
def test_without_recurrent_part_only_the_projection_remains_and_no_activation_follows():
    block, x = RecurrentResidualBlock(3, 4, steps=1).eval(), torch.randn(1, 3, 5, 7)
    last_norm = block.recurrent[1].convolution[1]
    last_norm.weight.zero_()
    last_norm.bias.fill_(-1)
    torch.testing.assert_close(block(x), block.projection(x))
    assert (block(x) < 0).any()


@torch.no_grad()
def test_a_gate_weighs_the_skip_and_hears_both_maps():
    gate, skip, decoded = AttentionGate(4).eval(), torch.randn(2, 4, 5, 7), torch.randn(2, 4, 5, 7)
    weights = gate(skip, decoded) / skip
    torch.testing.assert_close(weights, weights[:, :1].expand_as(skip))
    assert ((weights > 0) & (weights < 1)).all()
    for heard in (gate(skip, -decoded) / skip, gate(-skip, decoded) / -skip):
        assert not torch.allclose(heard, weights)


@torch.no_grad()
def test_blocks_change_the_resolution_as_they_say():
    x = torch.randn(1, 4, 6, 10)
    assert PreActivationBlock(4, 8, stride=2)(x).shape == (1, 8, 3, 5)
    assert PreActivationBlock(4, 8, stride=1)(x).shape == (1, 8, 6, 10)
    assert UpConvolution(4, 2)(x).shape == (1, 2, 12, 20)
