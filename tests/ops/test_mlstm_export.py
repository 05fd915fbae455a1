"""The mLSTM as it is recorded by `torch.export`, where the number of steps is free."""

import pytest
import torch
from exported import Alone

from dermseg.ops.mlstm import chunkwise, mlstm, reference
from dermseg.ops.mlstm.state import empty_state

HEADS, D = 2, 3


def draw(batch: int, T: int, gates: float = 1.0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(T)
    tensors = [torch.randn(batch, T, HEADS, D, generator=generator, dtype=torch.float64) for _ in range(3)]
    pair = [gates * torch.randn(batch, T, HEADS, generator=generator, dtype=torch.float64) for _ in range(2)]
    return [*tensors, *(gate.clamp(-200, 200) for gate in pair)]


@pytest.fixture(scope="module")
def exported():
    free = {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}
    alone = Alone(lambda *inputs: mlstm(*inputs, final_state=False)[0])
    return torch.export.export(alone, tuple(draw(2, 5)), dynamic_shapes=((free,) * 5,)).module()


@pytest.mark.parametrize(("batch", "T", "gates"), [(3, 4, 1), (2, chunkwise.CHUNK + 9, 1), (2, 30, 150)])
def test_any_number_of_steps_equals_the_reference(exported, batch, T, gates):
    inputs = draw(batch, T, gates)
    expected, _ = reference.mlstm(*inputs, empty_state((batch, HEADS, D), torch.float64, torch.device("cpu")))
    torch.testing.assert_close(exported(*inputs), expected, atol=1e-9, rtol=1e-9)
