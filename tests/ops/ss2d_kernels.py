"""What the Triton kernels of S6 and SS2D must do; test_ss2d_gpu.py runs this file where they run."""

import pytest
import torch
from test_ss2d import draw, value_and_gradients
from triton_kernels import DEVICE

from dermseg.ops.selective_scan import reference as s6_reference
from dermseg.ops.selective_scan import selective_scan
from dermseg.ops.ss2d import reference, ss2d_scan

SHAPES = [
    # batch, H, W, channels, N: one of everything; less and more than a chunk, a tile, a block
    (1, 1, 1, 1, 1),
    (2, 1, 3, 3, 1),
    pytest.param((1, 3, 1, 2, 3), marks=pytest.mark.slow),
    pytest.param((1, 2, 2, 35, 1), marks=pytest.mark.slow),
    pytest.param((1, 3, 7, 5, 3), marks=pytest.mark.slow),
]


@pytest.fixture
def backend(monkeypatch):
    monkeypatch.setenv("DERMSEG_BACKEND", "triton")
    torch.use_deterministic_algorithms(True, warn_only=True)  # fills fresh memory with NaN as well
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def short_chunks(monkeypatch):
    """Chunks so short that small maps, all that the interpreter manages, have several."""
    from dermseg.ops.ss2d import gpu

    for name, steps in (("CHUNK", 8), ("TILE", 4), ("AHEAD", 2)):
        monkeypatch.setattr(gpu, name, steps)


def on_device(inputs):
    return [tensor.detach().to(DEVICE).requires_grad_() for tensor in inputs]


def row(inputs):
    """Inputs of a sequence: the first direction of the first row of a map."""
    x, delta, A, B, C, D, bias = (tensor.detach() for tensor in inputs)
    parts = x[:, 0], *(t[:, 0, :, 0] for t in (delta,)), A[0], *(t[:, 0, :, 0] for t in (B, C)), D[0], bias[0]
    return [part.to(DEVICE).requires_grad_() for part in parts]


@pytest.mark.parametrize("shape", SHAPES)
def test_value_and_every_gradient_equal_the_reference(backend, short_chunks, shape):
    inputs = on_device(draw(*shape))
    expected = value_and_gradients(reference.ss2d_scan, inputs)
    for ours, theirs in zip(value_and_gradients(ss2d_scan, inputs), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


def test_a_sequence_of_several_chunks_equals_the_reference(backend, short_chunks):
    inputs = row(draw(1, 1, 19, 5, 2))
    expected = value_and_gradients(s6_reference.selective_scan, inputs)
    for ours, theirs in zip(value_and_gradients(selective_scan, inputs), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.slow
def test_a_sequence_in_float32_is_as_close_to_the_truth_as_float32_can_be(backend):
    inputs = row(draw(1, 1, 67, 3, 2, torch.float32))
    doubles = [tensor.detach().double().requires_grad_() for tensor in inputs]
    expected = value_and_gradients(s6_reference.selective_scan, doubles)
    for ours, truth in zip(value_and_gradients(selective_scan, inputs), expected, strict=True):
        assert ours.dtype == torch.float32
        assert (ours - truth).abs().max() <= 2e-6 * truth.abs().max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.slow)])
def test_half_precision_is_read_as_it_is_and_computed_in_float32(backend, short_chunks, dtype):
    inputs = row(draw(1, 1, 9, 3, 2, torch.float32))
    for i in (0, 1, 3, 4):  # those that autocast makes
        inputs[i] = inputs[i].detach().to(dtype).requires_grad_()
    with torch.autocast(DEVICE, torch.bfloat16):
        y, *gradients = value_and_gradients(selective_scan, inputs)
    floats = [tensor.detach().float().requires_grad_() for tensor in inputs]
    y_expected, *expected = value_and_gradients(selective_scan, floats)
    assert y.dtype == dtype
    assert torch.equal(y, y_expected.to(dtype))
    ulp = torch.finfo(dtype).eps  # of the weights of the sum, and the interpreter cuts off where a GPU rounds
    for tensor, ours, theirs in zip(inputs, gradients, expected, strict=True):
        assert ours.dtype == tensor.dtype
        torch.testing.assert_close(
            ours.float(), theirs, rtol=2 * ulp, atol=2 * ulp * float(theirs.abs().max())
        )


@pytest.mark.parametrize("level", [-200.0, pytest.param(200.0, marks=pytest.mark.slow)])
def test_extreme_steps_stay_finite(backend, short_chunks, level):
    x, delta, A, B, C, D, bias = row(draw(1, 1, 10, 4, 2, torch.float32))
    inputs = [x, torch.full_like(delta, level).requires_grad_(), A, B, C, D, bias]
    ours = value_and_gradients(selective_scan, inputs)
    theirs = value_and_gradients(s6_reference.selective_scan, inputs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.isfinite().all()
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max()) + 1e-30)


def test_nan_is_not_hidden(backend):
    inputs = [tensor.detach() for tensor in row(draw(1, 1, 3, 2, 2, torch.float32))]
    inputs[1][0, 1, 0] = torch.nan
    assert selective_scan(*inputs)[0, :, 0].isnan().tolist() == [False, True, True]


def test_an_image_does_not_depend_on_its_batch(backend, short_chunks):
    inputs = row(draw(2, 1, 9, 3, 2, torch.float32))
    y = selective_scan(*inputs)
    weights = torch.linspace(-1, 1, y.numel(), device=DEVICE).reshape(y.shape)
    gradients = torch.autograd.grad((y * weights).sum(), inputs)
    alone = [t.detach()[1:].requires_grad_() if t.ndim == 3 else t for t in inputs]
    y_alone = selective_scan(*alone)
    gradients_alone = torch.autograd.grad((y_alone * weights[1:]).sum(), alone)
    assert torch.equal(y_alone[0], y[1])
    for i in (0, 1, 3, 4):
        assert torch.equal(gradients_alone[i][0], gradients[i][1])


@pytest.mark.slow
def test_non_contiguous_inputs(backend):
    inputs = [tensor.detach() for tensor in on_device(draw(1, 1, 2, 3, 2))]
    strided = [t.transpose(0, -1).contiguous().transpose(0, -1) for t in inputs]
    assert not strided[1].is_contiguous()
    torch.testing.assert_close(ss2d_scan(*strided), ss2d_scan(*inputs), rtol=0, atol=0)


def test_compiles_as_one_graph(backend, short_chunks):
    inputs = row(draw(1, 1, 2, 3, 1, torch.float32))
    compiled = torch.compile(selective_scan, fullgraph=True, backend="aot_eager")
    results = value_and_gradients(compiled, inputs)
    for ours, theirs in zip(results, value_and_gradients(selective_scan, inputs), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.slow
def test_the_operator_keeps_its_promises_to_pytorch(short_chunks):
    from dermseg.ops.ss2d import gpu

    x, delta, A, B, C, D, bias = (tensor.detach() for tensor in on_device(draw(1, 1, 2, 2, 1)))
    inputs = [x, delta[:, :, :, :1].movedim(3, 0).contiguous(), A.mT[:1].contiguous()]
    inputs += [B[:, :, :, :1].contiguous(), C[:, :, :, :1].contiguous(), D[:1], bias[:1]]
    torch.library.opcheck(gpu._scan, [tensor.requires_grad_() for tensor in inputs])
