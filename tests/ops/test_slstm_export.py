"""The ONNX form of the sLSTM against its definition, for any batch and number of steps."""

from pathlib import Path

import pytest
import torch
from exported import as_onnx

from dermseg.ops.slstm import reference, slstm
from dermseg.ops.slstm.state import SLSTMState, empty_state

HEADS, D = 2, 3


def draw(batch: int, T: int, scale: float = 1.0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(T)
    preactivations = scale * torch.randn(batch, T, 4, HEADS, D, generator=generator)
    state = [torch.randn(batch, HEADS, D, generator=generator) for _ in range(4)]
    state[1] = state[1].abs() + 0.1  # a normaliser is positive
    R = torch.randn(4, HEADS, D, D, generator=generator)
    return [preactivations.clamp(-200, 200), R, *state]


def continued(preactivations, R, *state):
    hidden, last = slstm(preactivations, R, SLSTMState(*state))
    return hidden, *last


def begun(preactivations, R):
    return slstm(preactivations, R)[0]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("slstm") / "slstm.onnx"
    return as_onnx(continued, draw(2, 5), [(0, 1), (), *[(0,)] * 4], path)


@pytest.mark.parametrize(
    ("batch", "T", "scale"), [(1, 1, 1), (3, 4, 1), (2, 33, 1), (2, 9, 150), (1, 1, 150)]
)
def test_hidden_states_and_last_state_equal_the_reference(exported, batch, T, scale):
    inputs = draw(batch, T, scale)
    preactivations, R, *state = (tensor.double() for tensor in inputs)
    hidden, last = reference.slstm(preactivations, R, SLSTMState(*state))
    for ours, truth in zip(exported(*inputs), (hidden, *last), strict=True):
        assert ours.isfinite().all()
        torch.testing.assert_close(ours.double(), truth, atol=1e-5, rtol=1e-5)


def test_an_empty_memory_gives_no_nan(tmp_path: Path):
    run = as_onnx(begun, draw(2, 5)[:2], [(0, 1), ()], tmp_path / "slstm.onnx")
    for scale in (0.0, 1.0, 150.0):
        inputs = draw(3, 7, scale)[:2]
        preactivations, R = (tensor.double() for tensor in inputs)
        empty = empty_state((3, HEADS, D), torch.float64, torch.device("cpu"))
        expected, _ = reference.slstm(preactivations, R, empty)
        torch.testing.assert_close(run(*inputs)[0].double(), expected, atol=1e-5, rtol=1e-5)
