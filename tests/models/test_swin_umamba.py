from typing import Any, ClassVar

import pytest
import torch
from parity import ParityTester
from tester import ModelTester

from dermseg.models.registry import create_model

SMALL = {"width": 8, "depths": (1, 1, 1, 1), "state": 4}


class TestSwinUMamba(ModelTester):
    name = "swin_umamba"
    arguments: ClassVar[dict[str, Any]] = SMALL


@pytest.mark.parity
class TestSwinUMambaParity(ParityTester):
    name = "swin_umamba"
    recording = "swin_umamba"
    outputs: ClassVar = {}
    taps: ClassVar = {f"out{level}": f"heads.{level}" for level in range(4)}
    tap_precision = 1e-4


@torch.no_grad()
def test_every_output_is_the_difference_of_the_two_scores_of_its_head():
    model, scores = create_model("swin_umamba", **SMALL).eval(), []
    for head in model.heads:
        head.register_forward_hook(lambda *call: scores.append(call[2]))
    logits, auxiliary = model.outputs(torch.randn(2, 3, 64, 32))
    torch.testing.assert_close(logits.sigmoid(), scores[0].softmax(1)[:, 1:])
    assert [x.shape[2:] for x in scores] == [(64, 32), (32, 16), (16, 8), (8, 4)]
    for output, pair in zip(auxiliary, scores[1:], strict=True):
        enlarged = torch.nn.functional.interpolate(pair, size=(64, 32), mode="bilinear")
        torch.testing.assert_close(output[:, 0], enlarged[:, 1] - enlarged[:, 0])


@torch.no_grad()
def test_prediction_leaves_the_training_heads_out():
    model, called = create_model("swin_umamba", **SMALL).eval(), []
    for level, head in enumerate(model.heads):
        head.register_forward_hook(lambda *_, level=level: called.append(level))
    model(torch.randn(1, 3, 32, 32))
    assert called == [0]
