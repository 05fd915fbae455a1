"""What the counter sees of small networks whose costs are known by hand."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.costs.counter import CostCounter

MIB = 2**20


def counted(model: nn.Module, *inputs: Tensor) -> CostCounter:
    counter = CostCounter()
    given = [*inputs, *model.parameters(), *model.buffers()]
    with torch.no_grad(), counter.of(model, *given):
        model.eval()(*inputs)
    return counter


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (nn.Linear(5, 7), (2, 3, 5), 2 * 3 * 5 * 7),
        (nn.Conv2d(4, 6, 3, padding=1), (2, 4, 8, 9), 2 * 8 * 9 * 6 * 4 * 9),
        (nn.Conv2d(4, 8, 3, stride=2, groups=4), (1, 4, 9, 9), 4 * 4 * 8 * 9),
        (nn.Conv1d(3, 5, 4), (1, 3, 10), 7 * 5 * 3 * 4),
        (nn.ConvTranspose2d(4, 6, 2, stride=2), (1, 4, 5, 5), 25 * 4 * 6 * 4),
        (nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2), (1, 4, 5, 5), 25 * 4 * 3 * 4),
    ],
)
def test_layers(layer, shape, expected):
    counter = counted(layer, torch.randn(shape))
    assert sum(counter.multiply_adds.values()) == expected
    assert sum(counter.printed.values()) == expected


@pytest.mark.parametrize(
    ("norm", "per_element"),
    [
        (nn.LayerNorm(6), 4),
        (nn.BatchNorm2d(4), 4),
        (nn.GroupNorm(2, 4), 4),
        (nn.InstanceNorm2d(4), 2),
    ],
)
def test_norms_are_in_the_printed_number_alone(norm, per_element):
    counter = counted(norm, torch.randn(2, 4, 6, 6))
    assert sum(counter.multiply_adds.values()) == 0
    assert sum(counter.printed.values()) == per_element * 2 * 4 * 36


class Products(nn.Module):
    """Attention and a transform, neither of which is a layer."""

    def forward(self, x: Tensor) -> Tensor:
        attended = F.scaled_dot_product_attention(x, x, x)
        return attended + torch.fft.irfft2(torch.fft.rfft2(x), s=x.shape[-2:])


def test_attention_and_transforms_are_counted_and_not_printed():
    counter = counted(Products(), torch.randn(1, 2, 8, 4))
    attention = 2 * 2 * 8 * 8 * 4
    transforms = sum(counter.multiply_adds.values()) - attention
    assert sum(counter.printed.values()) == 0
    # Between one and two complex transforms of 32 points on two channels, there and back.
    assert 2 * 2 * 32 * 5 <= transforms <= 2 * 2 * 2 * 2 * 32 * 5


class TwoSteps(nn.Module):
    """A first part whose input is needed again, and a second part that halves the map."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 1)
        self.second = nn.Conv2d(4, 1, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x))
        return y + F.max_pool2d(x, 2)


def test_memory_is_what_is_alive_at_a_time_by_part():
    # 4 channels of 512 x 512 floats are 4 MiB.
    counter = counted(TwoSteps(), torch.randn(1, 1, 512, 512))
    assert counter.peaks["first"] == 4 * MIB
    assert counter.peaks["second"] == 4 * MIB + MIB // 4
    # The pooled map and its indices come while only the quarter of a MiB of the second part is left.
    assert counter.peak == counter.peaks["second"]
    assert counter.shapes["first"] == [(1, 4, 512, 512)]
    assert list(counter.shapes) == ["", "first", "second"]


class InPlaceAndViews(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x + 1
        y.relu_()
        return y.view(-1)[::2]


def test_views_and_work_in_place_take_no_memory():
    assert counted(InPlaceAndViews(), torch.randn(1, 1, 512, 512)).peak == MIB
