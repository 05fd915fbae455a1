"""Averages over a fixed number of cells, of maps whose size was free when they were written."""

from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.export.onnx import translations


class Pooling(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return F.adaptive_avg_pool2d(x, (x.shape[2], 16)), F.adaptive_avg_pool2d(x, 3)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> onnxruntime.InferenceSession:
    path: Path = tmp_path_factory.mktemp("pooling") / "pooling.onnx"
    free = dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO)
    program = torch.export.export(Pooling(), (torch.zeros(2, 2, 9, 21),), dynamic_shapes=(free,))
    table = translations("scan")
    written = torch.onnx.export(program, dynamo=True, custom_translation_table=table, verbose=False)
    assert written is not None
    written.save(path)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("size", [(9, 21), (1, 1), (5, 16), (4, 7), (33, 100), (2, 331)])
def test_equal_at_any_size(session: onnxruntime.InferenceSession, size: tuple[int, int]):
    x = torch.randn(3, 2, *size)
    averages = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    for average, expected in zip(averages, Pooling()(x), strict=True):
        torch.testing.assert_close(torch.from_numpy(average), expected, atol=1e-6, rtol=1e-6)
