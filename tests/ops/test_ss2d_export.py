"""Both ONNX forms of the scan against its definition, at sizes that were free when they were written."""

from pathlib import Path

import pytest
import torch
from exported import as_onnx

from dermseg.ops.selective_scan import reference as selective_reference
from dermseg.ops.selective_scan import selective_scan
from dermseg.ops.ss2d import export, reference, ss2d_scan

CHANNELS, N = 7, 5
FREE = [(0, 1, 2), (0, 1, 2), (), (0, 1, 2), (0, 1, 2), (), ()]
SIZES = [(1, 1, 1), (2, 1, 33), (2, 35, 1), (1, 7, 9), (3, 6, 4)]  # batch, H, W


def draw(batch: int, height: int, width: int, scale: float = 1.0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(batch + height)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return [
        normal(batch, height, width, CHANNELS),
        scale * normal(batch, height, width, 4, CHANNELS),
        -3 * torch.rand(4, CHANNELS, N, generator=generator),
        normal(batch, height, width, 4, N),
        normal(batch, height, width, 4, N),
        normal(4, CHANNELS),
        normal(4, CHANNELS),
    ]


@pytest.fixture(scope="module", params=["scan", "chunked"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        # Three chunks, which divide few lengths, of few steps: several blocks.
        patch.setattr(export, "STATES", 3 * 4 * CHANNELS * N)
        patch.setattr(export, "STEPS", 4)
        patch.setattr(export, "MOST_STEPS", 4)
        path = tmp_path_factory.mktemp("ss2d") / "scan.onnx"
        return as_onnx(ss2d_scan, draw(2, 6, 5), FREE, path, request.param)


def assert_equal_to_reference(run, inputs: list[torch.Tensor]) -> None:
    expected = reference.ss2d_scan(*(tensor.double() for tensor in inputs))
    [y] = run(*inputs)
    assert y.isfinite().all()
    assert (y - expected).abs().max() <= 2e-6 * max(1.0, expected.abs().max().item())


@pytest.mark.parametrize("size", SIZES)
def test_values_equal_the_reference(exported, size):
    assert_equal_to_reference(exported, draw(*size))


@pytest.mark.parametrize("size", SIZES)
def test_extreme_steps_stay_finite_and_right(exported, size):
    inputs = draw(*size, scale=100.0)
    inputs[1].clamp_(-200, 200)[..., 0] = 200.0
    inputs[1][..., 1] = -200.0
    assert_equal_to_reference(exported, inputs)


def test_small_steps_keep_their_digits(exported):
    # softplus(-12) is 6e-6: 1 + e^-12 in float32 would have lost all but two digits of it.
    inputs = draw(1, 5, 4)
    inputs[1].fill_(-12.0)
    inputs[5].zero_()
    inputs[6].zero_()
    expected = reference.ss2d_scan(*(tensor.double() for tensor in inputs))
    [y] = exported(*inputs)
    assert (y - expected).abs().max() <= 2e-6 * expected.abs().max()


def test_constant_inputs(exported):
    assert_equal_to_reference(exported, [torch.full_like(x, -0.5) for x in draw(1, 4, 4)])


@pytest.mark.parametrize("form", ["scan", "chunked"])
def test_a_sequence_is_a_map_of_one_row(form, tmp_path: Path):
    def inputs(batch: int, length: int) -> list[torch.Tensor]:
        x, delta, A, B, C, D, bias = draw(batch, 1, length)
        maps = (t[:, 0, :, 0] for t in (delta, B, C))
        delta, B, C = maps
        return [x[:, 0], delta, A[0], B, C, D[0], bias[0]]

    free = [(0, 1), (0, 1), (), (0, 1), (0, 1), (), ()]
    run = as_onnx(selective_scan, inputs(2, 9), free, tmp_path / "scan.onnx", form)
    for batch, length in ((1, 1), (2, 9), (3, 40)):
        given = inputs(batch, length)
        expected = selective_reference.selective_scan(*(tensor.double() for tensor in given))
        torch.testing.assert_close(run(*given)[0].double(), expected, atol=2e-6, rtol=2e-6)
