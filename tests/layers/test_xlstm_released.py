"""The released xLSTM: its measured behaviour, quirk by quirk, and the names of its weights."""

import pytest
import torch

from dermseg.errors import ConfigError
from dermseg.layers.xlstm_released import (
    ReleasedMLSTMBlock,
    ReleasedXLSTM,
)

ROWS = 6

# Parameters of the released blocks: names after `xLSTM.layers.<number>.`, with shapes.
LINEAR_S = {f"W{gate}.blocks.0": (64, 256) for gate in "zifo"} | {
    f"R{gate}.blocks.0": (64, 64) for gate in "zifo"
}
LINEAR_S |= {"up_proj_left": (85, 64), "up_proj_right": (85, 64), "down_proj": (256, 85)}
LINEAR_M = {f"W{name}.blocks.0": (64, 512) for name in "qkv"} | {f"W{gate}": (64, 512) for gate in "ifo"}
LINEAR_M |= {"up_proj_left": (512, 256), "up_proj_right": (64, 256), "down_proj": (256, 64)}
LINEAR_M |= {"skip_connection": (64, 512)}


def released_shapes(linear):
    shapes = {"layer_norm.weight": (256,), "layer_norm.bias": (256,)}
    shapes |= {"group_norm.weight": (64,), "group_norm.bias": (64,)}
    shapes |= {"causal_conv.conv.weight": (1, 1, 4), "causal_conv.conv.bias": (1,)}
    for name, shape in linear.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def images(count, rows=ROWS):
    return torch.randn(count, rows, 256, dtype=torch.float64)


def stack(layers):
    return ReleasedXLSTM(layers).double().requires_grad_(False)


@pytest.mark.parametrize(("layers", "linear", "count"), [("s", LINEAR_S, 116_143), ("m", LINEAR_M, 395_141)])
def test_every_released_key_has_its_place_with_the_same_shape(layers, linear, count):
    xlstm = ReleasedXLSTM(layers)
    theirs = xlstm.released_keys()
    shapes = {theirs[ours]: tuple(value.shape) for ours, value in xlstm.state_dict().items()}
    assert shapes == {f"layers.0.{key}": shape for key, shape in released_shapes(linear).items()}
    assert sum(parameter.numel() for parameter in xlstm.parameters()) == count


@pytest.mark.parametrize("layers", ["s", "m", "sm"])
def test_an_image_depends_on_those_before_it_only(layers):
    xlstm = stack(layers)
    x = images(3)
    changed = x.clone()
    changed[1] += torch.randn(ROWS, 256)
    difference = (xlstm(changed) - xlstm(x)).abs().amax(dim=(1, 2))
    assert difference[0] == 0
    assert (difference[1:] > 1e-6).all()


def test_gates_cancel_in_the_slstm_of_a_single_image():
    xlstm = stack("s")
    x = images(1)
    expected = xlstm(x)
    block = xlstm.layers[0]
    h = torch.sigmoid(block.W_o(x) + block.R_o.bias) * torch.tanh(block.W_z(x) + block.R_z.bias)
    h = torch.nn.functional.layer_norm(h, (64,))
    y = block.down(block.up_left(h) * torch.nn.functional.gelu(block.up_right(h))) + x
    torch.testing.assert_close(y, expected)
    for part in (block.W_i, block.W_f, block.R_i, block.R_f, block.convolution, block.norm):
        torch.nn.init.normal_(part.weight)
    torch.testing.assert_close(xlstm(x), expected)


def test_slstm_keeps_rows_apart():
    xlstm = stack("s")
    x = images(2)
    changed = x.clone()
    changed[:, 2] += 1
    others = [0, 1, 3, 4, 5]
    assert torch.equal(xlstm(changed)[:, others], xlstm(x)[:, others])


def test_mlstm_divisor_couples_the_rows_of_an_image():
    xlstm = stack("m")
    x = images(1)
    changed = x.clone()
    changed[:, 2] += torch.randn(256)
    others = [0, 1, 3, 4, 5]
    assert (xlstm(changed) - xlstm(x))[:, others].abs().max() > 1e-6
    assert (xlstm(x[:, :3]) - xlstm(x)[:, :3]).abs().max() > 1e-6


def test_mlstm_retrieval_follows_the_released_formula():
    block = ReleasedMLSTMBlock().double().requires_grad_(False)
    x = images(1)
    left = block.up_left(block.norm(x))
    padded = torch.nn.functional.pad(left, (3, 0))
    weight, bias = block.convolution.weight.flatten(), block.convolution.bias
    recent = torch.nn.functional.silu(sum(weight[s] * padded[..., s : s + 512] for s in range(4)) + bias)
    q, k, v = block.W_q(recent)[0], block.W_k(recent)[0] / 8, block.W_v(left)[0]
    i, f = block.W_i(recent)[0], block.W_f(recent)[0]
    i = torch.exp(i - torch.maximum(i, f))  # the stabiliser starts at 0, so f takes part without a past
    divisor = torch.einsum("ra,rb->ab", i * k, q).abs().max(dim=1).values
    h = torch.sigmoid(block.W_o(left)[0]) * (i * v * k) * q / divisor
    h = torch.nn.functional.layer_norm(h, (64,)) + block.skip(recent)[0]
    y = block.down(h * torch.nn.functional.silu(block.up_right(block.norm(x))[0])) + x[0]
    torch.testing.assert_close(block(x)[0], y)


@pytest.mark.parametrize("layers", ["s", "m", "sm"])
def test_rows_have_no_order(layers):
    xlstm = stack(layers)
    x = images(2)
    order = torch.randperm(ROWS)
    torch.testing.assert_close(xlstm(x[:, order]), xlstm(x)[:, order])


@pytest.mark.parametrize("layers", ["s", "m"])
def test_a_forget_gate_far_above_the_input_gate_gives_nan_as_released(layers):
    xlstm = ReleasedXLSTM(layers).requires_grad_(False)
    x = images(1).float()
    for excess, broken in ((80, False), (200, True)):
        xlstm.layers[0].W_f.bias.fill_(excess)
        assert xlstm(x).isnan().all() == broken


@torch.no_grad()
def test_half_precision_remembers_in_float32():
    # The divisor is a sum over 64 rows of q k = 10,000: beyond the largest number of half precision.
    xlstm = ReleasedXLSTM("m")
    xlstm.layers[0].W_q.bias.fill_(100)
    xlstm.layers[0].W_k.bias.fill_(800)
    x = torch.randn(2, 64, 256)
    expected = xlstm(x) - x
    with torch.autocast("cpu", torch.float16):
        under_autocast = xlstm(x) - x
    half = xlstm.half()(x.half())
    assert half.dtype == torch.float16
    for actual in (under_autocast, half - x.half()):
        assert (actual - expected).std() < 0.1 * expected.std()


def test_no_layers_change_nothing():
    x = images(2)
    assert torch.equal(ReleasedXLSTM("")(x), x)


@pytest.mark.parametrize("layers", ["s", "m", "sm"])
def test_gradients_reach_every_parameter_from_the_second_image(layers):
    xlstm = ReleasedXLSTM(layers)
    xlstm(images(3).float()).square().sum().backward()
    for name, parameter in xlstm.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_wrong_arguments_are_named():
    with pytest.raises(ConfigError, match="256 pixels wide, not 224"):
        ReleasedXLSTM("s")(torch.zeros(1, 4, 224))
    with pytest.raises(ConfigError, match="xlstm_layers='x'"):
        ReleasedXLSTM("x")
