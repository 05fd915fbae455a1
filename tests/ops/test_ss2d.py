"""The compiled SS2D against its definition, and the promises the fast path makes beyond values."""

import subprocess
import sys
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad

from dermseg.errors import ConfigError
from dermseg.ops.ss2d import cpu, projected_ss2d_scan, reference, ss2d_scan

SHAPES = [
    # batch, H, W, channels, N: one of everything; less and more than a block, a chunk, a group
    (1, 1, 1, 1, 1),
    (2, 1, 33, 3, 1),
    (2, 35, 1, 7, 5),
    (1, 7, 9, 17, 4),
    (2, 6, 11, 149, 2),
    (1, 3, 4, 16, 16),
]


def draw(batch, height, width, channels, states, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()

    A = (-3 * torch.rand(4, channels, states, generator=generator, dtype=torch.float64)).to(dtype)
    return [
        normal(batch, height, width, channels),
        normal(batch, height, width, 4, channels),
        A.requires_grad_(),
        normal(batch, height, width, 4, states),
        normal(batch, height, width, 4, states),
        normal(4, channels),
        normal(4, channels),
    ]


def value_and_gradients(function, inputs):
    y = function(*inputs)
    weights = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).reshape(y.shape).to(y.dtype)
    return [y.detach(), *torch.autograd.grad((y * weights).sum(), inputs)]


@pytest.mark.parametrize("shape", SHAPES)
def test_value_and_every_gradient_equal_the_reference(shape):
    inputs = draw(*shape)
    expected = value_and_gradients(reference.ss2d_scan, inputs)
    for ours, theirs in zip(value_and_gradients(cpu.ss2d_scan, inputs), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


@settings(max_examples=15, deadline=None)
@given(st.tuples(*(st.integers(1, high) for high in (2, 9, 9, 20, 5))))
def test_any_shape_equals_the_reference(shape):
    inputs = draw(*shape)
    expected = value_and_gradients(reference.ss2d_scan, inputs)
    for ours, theirs in zip(value_and_gradients(cpu.ss2d_scan, inputs), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


def test_float32_is_as_close_to_the_truth_as_float32_can_be():
    inputs = draw(2, 9, 11, 37, 16, torch.float32)
    expected = value_and_gradients(
        reference.ss2d_scan, [t.detach().double().requires_grad_() for t in inputs]
    )
    for ours, truth in zip(value_and_gradients(cpu.ss2d_scan, inputs), expected, strict=True):
        assert (ours - truth).abs().max() <= 2e-6 * truth.abs().max()


def draw_projected(batch, height, width, channels, states, rank, dtype=torch.float64):
    x, _, A, _, _, D, bias = draw(batch, height, width, channels, states, dtype)
    generator = torch.Generator().manual_seed(1)
    rows, weight = (batch, height, width, 4, rank + 2 * states), (4, channels, rank)
    projected, step_weight = (
        torch.randn(shape, generator=generator, dtype=dtype) for shape in (rows, weight)
    )
    return [x, projected.requires_grad_(), step_weight.requires_grad_(), A, D, bias]


def scan_of_projections(x, projected, step_weight, A, D, bias):
    states = A.shape[-1]
    delta = torch.stack([projected[..., k, : -2 * states] @ step_weight[k].T for k in range(4)], dim=3)
    B, C = projected[..., -2 * states : -states], projected[..., -states:]
    return reference.ss2d_scan(x, delta, A, B, C, D, bias)


@pytest.mark.parametrize("rank", [1, 3, 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_step_sizes_may_be_computed_on_the_way(shape, rank):
    inputs = draw_projected(*shape, rank)
    expected = value_and_gradients(scan_of_projections, inputs)
    for ours, theirs in zip(value_and_gradients(projected_ss2d_scan, inputs), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)
    with torch.no_grad():
        torch.testing.assert_close(projected_ss2d_scan(*inputs), expected[0], rtol=1e-11, atol=1e-11)


def test_step_sizes_computed_on_the_way_in_float32_are_as_close_to_the_truth():
    inputs = [t.detach() for t in draw_projected(2, 9, 11, 37, 16, 5, torch.float32)]
    truth = scan_of_projections(*(t.double() for t in inputs))
    assert (projected_ss2d_scan(*inputs) - truth).abs().max() <= 2e-6 * truth.abs().max()


@pytest.mark.filterwarnings("ignore:.*jit.trace.*:FutureWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("compiled", [False, True])
def test_whoever_records_operators_gets_those_of_training(compiled, monkeypatch):
    monkeypatch.setattr(cpu, "projected_ss2d_scan", None)
    inputs = [t.detach() for t in draw_projected(1, 3, 4, 5, 2, 2, torch.float32)]
    expected = scan_of_projections(*inputs)
    if compiled:
        function = torch.compile(projected_ss2d_scan, fullgraph=True, backend="eager")
    else:
        function = torch.jit.trace(projected_ss2d_scan, inputs, check_trace=False)
    torch.testing.assert_close(function(*inputs), expected, rtol=1e-4, atol=1e-4)


def test_directions_come_in_the_released_order():
    # C is zero in all directions but one: an impulse is seen at its pixel and at those after it on the path.
    height, width = 2, 3
    paths = [
        [0, 1, 2, 3, 4, 5],
        [0, 3, 1, 4, 2, 5],
        [5, 4, 3, 2, 1, 0],
        [5, 2, 4, 1, 3, 0],
    ]
    for direction, path in enumerate(paths):
        for position, pixel in enumerate(path):
            x = torch.zeros(1, height, width, 1)
            x.view(-1)[pixel] = 1
            C = torch.zeros(1, height, width, 4, 1)
            C[:, :, :, direction] = 1
            y = ss2d_scan(
                x,
                torch.zeros(1, height, width, 4, 1),
                -torch.ones(4, 1, 1),
                torch.ones_like(C),
                C,
                torch.zeros(4, 1),
                torch.zeros(4, 1),
            )
            assert set(y.flatten().nonzero().flatten().tolist()) == set(path[position:])


def test_gradcheck():
    assert torch.autograd.gradcheck(cpu.ss2d_scan, draw(1, 2, 3, 2, 2))


def test_non_contiguous_inputs():
    inputs = [t.detach() for t in draw(2, 5, 6, 18, 3)]
    strided = [t.transpose(0, -1).contiguous().transpose(0, -1) for t in inputs]
    assert not strided[0].is_contiguous()
    torch.testing.assert_close(ss2d_scan(*strided), ss2d_scan(*inputs), rtol=0, atol=0)


def test_an_image_does_not_depend_on_its_batch():
    inputs = draw(3, 8, 9, 40, 4, torch.float32)
    y, *gradients = value_and_gradients(ss2d_scan, inputs)
    weights = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).reshape(y.shape).float()
    alone = [t[1:2] if t.ndim > 3 else t for t in (i.detach().requires_grad_() for i in inputs)]
    y_alone = ss2d_scan(*alone)
    assert torch.equal(y_alone[0], y[1])
    per_image = [0, 1, 3, 4]
    gradients_alone = torch.autograd.grad((y_alone * weights[1:2]).sum(), [alone[i] for i in per_image])
    for i, gradient in zip(per_image, gradients_alone, strict=True):
        assert torch.equal(gradient[0], gradients[i][1])


def test_results_do_not_depend_on_the_number_of_threads():
    inputs = draw(1, 24, 25, 70, 8, torch.float32)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(value_and_gradients(ss2d_scan, inputs))
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_concurrent_callers_get_their_own_results():
    cases = [draw(1, 20, 30, 64, 8, torch.float32, seed) for seed in range(4)]
    expected = [value_and_gradients(ss2d_scan, case) for case in cases]
    results = [None] * len(cases)

    def work(index):
        for _ in range(5):
            results[index] = value_and_gradients(ss2d_scan, cases[index])

    callers = [threading.Thread(target=work, args=(i,)) for i in range(len(cases))]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=60)
    for ours, theirs in zip(results, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    inputs = [t.detach() for t in draw(1, 9, 9, 8, 4, dtype)]
    y = ss2d_scan(*inputs)
    assert y.dtype == dtype
    assert torch.equal(y, ss2d_scan(*(t.float() for t in inputs)).to(dtype))


@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_autocast_changes_nothing_inside(backend, monkeypatch):
    monkeypatch.setenv("DERMSEG_BACKEND", backend)
    inputs = draw(1, 5, 6, 8, 4, torch.float32)
    expected = value_and_gradients(ss2d_scan, inputs)
    with torch.autocast("cpu", torch.bfloat16):
        results = value_and_gradients(ss2d_scan, inputs)
    for ours, theirs in zip(results, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("level", [-200.0, -100.0, -20.0, 20.0, 100.0, 200.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_steps_stay_finite(level, dtype):
    x, delta, A, B, C, D, bias = draw(1, 6, 7, 18, 3, dtype)
    inputs = [x, torch.full_like(delta, level).requires_grad_(), A, B, C, D, bias]
    ours = value_and_gradients(cpu.ss2d_scan, inputs)
    theirs = value_and_gradients(reference.ss2d_scan, inputs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.isfinite().all()
        # Below 2^-126 float32 is flushed to zero here and kept as a denormal number there.
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max()) + 1e-30)


def test_steps_that_end_the_memory_of_one_channel_leave_the_others_exact():
    # In one chunk and block, some powers leave the normal numbers of float32 and some do not.
    x, delta, A, B, C, D, bias = (t.detach() for t in draw(1, 2, 70, 21, 4, torch.float32))
    delta[0, 0, 40, :, 3] = 90
    delta[0, 1, 5, :, 18] = 1e4
    doubles = (t.double() for t in (x, delta, A, B, C, D, bias))
    truth = reference.ss2d_scan(*doubles)
    y = cpu.ss2d_scan(x, delta, A, B, C, D, bias)
    assert (y - truth).abs().amax((0, 1, 2)).le(2e-6 * truth.abs().amax((0, 1, 2))).all()


def test_a_nan_does_not_hide_how_long_the_steps_before_it_were():
    x, delta, A, B, C, D, bias = (t.detach() for t in draw(1, 1, 8, 3, 2, torch.float32))
    delta[0, 0, 2], delta[0, 0, 5, 0] = 1e4, torch.nan
    expected = reference.ss2d_scan(x, delta, A, B, C, D, bias)
    y = cpu.ss2d_scan(x, delta, A, B, C, D, bias)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-2, equal_nan=True)


def test_nan_is_not_hidden():
    inputs = [t.detach() for t in draw(1, 3, 3, 2, 2, torch.float32)]
    inputs[1][0, 1, 1, 0, 0] = torch.nan
    assert ss2d_scan(*inputs)[0, 1, 1, 0].isnan()


def test_compiles_as_one_graph():
    inputs = draw(2, 4, 5, 6, 3, torch.float32)
    compiled = torch.compile(ss2d_scan, fullgraph=True, backend="aot_eager")
    results = value_and_gradients(compiled, inputs)
    for ours, theirs in zip(results, value_and_gradients(ss2d_scan, inputs), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_exports_with_dynamic_height_and_width():
    class Scan(torch.nn.Module):
        def forward(self, *inputs):
            return ss2d_scan(*inputs)

    size = {1: torch.export.Dim("height", min=2), 2: torch.export.Dim("width", min=2)}
    inputs = tuple(t.detach() for t in draw(1, 4, 5, 6, 3, torch.float32))
    shapes = {"inputs": (size, size, None, size, size, None, None)}
    program = torch.export.export(Scan(), inputs, dynamic_shapes=shapes)
    other = tuple(t.detach() for t in draw(1, 7, 3, 6, 3, torch.float32))
    torch.testing.assert_close(program.module()(*other), ss2d_scan(*other))


def as_the_operator_takes_them(x, delta, *others):
    return x, delta.detach().movedim(3, 0).contiguous().requires_grad_(delta.requires_grad), *others


def test_the_operator_keeps_its_promises_to_pytorch():
    torch.library.opcheck(cpu._scan, (*as_the_operator_takes_them(*draw(1, 3, 4, 5, 2)), True))


def test_without_gradients_no_states_are_kept():
    inputs = draw(1, 3, 4, 5, 2)
    direct = as_the_operator_takes_them(*inputs)
    kept = [cpu._scan(*direct, keep)[1].numel() for keep in (False, True)]
    assert kept[0] == 0 < kept[1]
    with torch.no_grad():
        assert torch.equal(cpu.ss2d_scan(*inputs), cpu.ss2d_scan(*(t.detach() for t in inputs)))
    assert torch.equal(cpu.ss2d_scan(*inputs), cpu._scan(*direct, False)[0])


def test_a_gradient_may_be_one_number_expanded():
    inputs = draw(1, 3, 4, 5, 2)
    y = cpu.ss2d_scan(*inputs)
    expanded = torch.autograd.grad(y.sum(), inputs, retain_graph=True)
    assert all(map(torch.equal, expanded, torch.autograd.grad(y, inputs, torch.ones_like(y))))


def test_a_second_derivative_is_refused():
    inputs = draw(1, 2, 2, 2, 1)
    gradient, *_ = torch.autograd.grad(ss2d_scan(*inputs).square().sum(), inputs, create_graph=True)
    with pytest.raises(RuntimeError, match="directional_scan_backward"):
        gradient.sum().backward()


@pytest.mark.filterwarnings("ignore:.*forward-mode:dermseg.errors.DermsegWarning")
@pytest.mark.parametrize("frozen", [True, False])
def test_a_forward_derivative_is_that_of_the_reference(frozen):
    x, *others = (t.detach().requires_grad_(not frozen) for t in draw(1, 3, 4, 5, 2))
    along = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).view_as(x)
    expected = torch.func.jvp(lambda x: reference.ss2d_scan(x, *others), (x,), (along,))
    torch.testing.assert_close(torch.func.jvp(lambda x: ss2d_scan(x, *others), (x,), (along,)), expected)
    with forward_ad.dual_level():
        found = forward_ad.unpack_dual(ss2d_scan(forward_ad.make_dual(x, along), *others))
    torch.testing.assert_close(tuple(found), expected)


def test_the_operator_itself_computes_in_float32_under_autocast():
    inputs = [t.detach() for t in draw(1, 3, 4, 5, 2, torch.bfloat16)]
    with torch.autocast("cpu", torch.bfloat16):
        y, _ = cpu._scan(*as_the_operator_takes_them(*inputs), False)
    assert y.dtype == torch.float32
    assert torch.equal(y, cpu.ss2d_scan(*(t.float() for t in inputs)))


def test_wrong_shapes_are_named():
    inputs = [t.detach() for t in draw(1, 3, 4, 5, 2)]
    with pytest.raises(ConfigError, match=r"B must have shape \(1, 3, 4, 4, 2\), got \(1, 3, 4, 4, 1\)"):
        ss2d_scan(*inputs[:3], inputs[3][..., :1], *inputs[4:])
    with pytest.raises(ConfigError, match="x must have 4 dimensions"):
        ss2d_scan(inputs[0][0], *inputs[1:])
    with pytest.raises(ConfigError, match="x is empty"):
        ss2d_scan(inputs[0][:0], *inputs[1:])


def test_a_first_import_while_a_network_is_recorded_leaves_nothing_behind():
    code = """
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from dermseg.ops.ss2d import projected_ss2d_scan
with FakeTensorMode():
    import dermseg.ops.ss2d.cpu
x, projected, weight = torch.ones(1, 2, 2, 2), torch.ones(1, 2, 2, 4, 3), torch.ones(4, 2, 1)
assert projected_ss2d_scan(x, projected, weight, -weight, *torch.ones(2, 4, 2)).isfinite().all()
"""
    subprocess.run([sys.executable, "-c", code], check=True)
