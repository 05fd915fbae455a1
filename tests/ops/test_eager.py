"""When a kernel for inference may stand in for operators: only where nobody records, counts or casts them."""

import pytest
import torch
from torch.autograd import forward_ad
from torch.utils.flop_counter import FlopCounterMode

from dermseg.ops.eager import kernel_runs


def runs(*tensors):
    return kernel_runs("test", *tensors)


def test_plain_tensors_on_a_cpu():
    assert runs(torch.zeros(1), torch.zeros(2))
    assert runs(torch.zeros(1, dtype=torch.float64))


def test_not_where_a_gradient_is_wanted():
    weight = torch.zeros(1, requires_grad=True)
    assert not runs(torch.zeros(1), weight)
    with torch.no_grad():
        assert runs(torch.zeros(1), weight)
    with torch.inference_mode():
        assert runs(torch.zeros(1), weight)


@pytest.mark.parametrize("others", [torch.bfloat16, torch.float64])
def test_not_for_types_that_differ_or_are_not_computed_in(others):
    assert not runs(torch.zeros(1), torch.zeros(1, dtype=others))
    assert not runs(torch.zeros(1, dtype=torch.float16))


def test_not_on_other_devices():
    assert not runs(torch.zeros(1), torch.zeros(1, device="meta"))


def test_not_under_autocast_or_a_counter():
    with torch.autocast("cpu", torch.bfloat16):
        assert not runs(torch.zeros(1))
    with FlopCounterMode(display=False):
        assert not runs(torch.zeros(1))


def test_not_under_forward_mode_or_a_transform():
    with forward_ad.dual_level():
        assert not runs(torch.zeros(1))
    seen = []
    torch.vmap(lambda x: seen.append(runs(x)) or x)(torch.zeros(2, 1))
    assert seen == [False]


def test_not_with_another_back_end(monkeypatch):
    monkeypatch.setenv("DERMSEG_BACKEND", "reference")
    assert not runs(torch.zeros(1))
