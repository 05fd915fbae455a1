"""The peers that benchmarks compare with compute the same thing as we do."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dermseg.ops.selective_scan import selective_scan
from dermseg.ops.ss2d import ss2d_scan

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import peers

    yield peers
    for name in ("peers", "operators", "picture"):
        sys.modules.pop(name, None)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def test_the_plain_scan_is_the_selective_scan(peers):
    batch, length, channels, states = 2, 7, 3, 4
    arguments = (
        draw(batch, length, channels),
        draw(batch, length, channels),
        -draw(channels, states).exp(),
        draw(batch, length, states),
        draw(batch, length, states),
        draw(channels),
        draw(channels),
    )
    torch.testing.assert_close(peers.plain_selective_scan(*arguments), selective_scan(*arguments))


def test_the_plain_scan_of_a_map_is_ss2d(peers):
    batch, height, width, channels, states = 2, 3, 5, 4, 2
    arguments = (
        draw(batch, height, width, channels),
        draw(batch, height, width, 4, channels),
        -draw(4, channels, states).exp(),
        draw(batch, height, width, 4, states),
        draw(batch, height, width, 4, states),
        draw(4, channels),
        draw(4, channels),
    )
    torch.testing.assert_close(peers.plain_ss2d_scan(*arguments), ss2d_scan(*arguments))


def test_the_parallel_scan_of_mambapy_is_the_selective_scan(peers):
    pytest.importorskip("mambapy")
    batch, length, channels, states = 2, 7, 3, 4
    arguments = (
        draw(batch, length, channels),
        draw(batch, length, channels),
        -draw(channels, states).exp(),
        draw(batch, length, states),
        draw(batch, length, states),
        draw(channels),
        draw(channels),
    )
    torch.testing.assert_close(peers.mambapy_selective_scan(*arguments), selective_scan(*arguments))


@pytest.mark.parametrize("name", ["selective_scan", "ss2d", "slstm", "mlstm"])
def test_every_operator_runs_on_its_drawn_inputs(peers, name):
    import operators

    inputs = [tensor.requires_grad_() for tensor in operators.draw_inputs(name, 2, 3, 8, 2)]
    result = operators.operator(name, "numba")(*inputs)
    assert result.isfinite().all()
    torch.autograd.grad(result.sum(), inputs)


def test_the_picture_of_a_table(peers, tmp_path):
    import picture

    rows = [
        ("selective_scan", 1, length, 96, 16, backend, backward, 2, 0.01 * length)
        for backend in ("reference", "numba")
        for backward in (False, True)
        for length in (1024, 4096)
    ]
    header = "operator,height,width,channels,states,backend,backward,threads,milliseconds"
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "ops.csv").write_text("\n".join(lines))
    picture.draw_scaling(tmp_path / "ops.csv", tmp_path / "ops.png")
    assert (tmp_path / "ops.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_gpu_benchmark_says_what_it_needs():
    done = subprocess.run([sys.executable, BENCHMARKS / "gpu.py"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "needs an NVIDIA GPU" in done.stdout + done.stderr
