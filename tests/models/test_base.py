"""What `SegmentationModel` itself promises, shown on a network of one layer."""

import math

import pytest
import torch
from torch import nn

from dermseg.errors import ConfigError
from dermseg.models.base import Preprocessing, SegmentationModel, check_threshold


class Blur(SegmentationModel):
    """Reads the border, so that padding shows."""

    stride = 8

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 5, padding=2)

    def forward_padded(self, images):
        assert images.shape[2] % self.stride == images.shape[3] % self.stride == 0
        return self.layer(images)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 1, 32, 32), (1, 3, 0, 32), (0, 3, 32, 32)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ConfigError, match=r"\(B, 3, H, W\) with B, H, W >= 1"):
        Blur()(torch.zeros(shape))


def test_images_that_were_not_standardised_are_refused():
    with pytest.raises(ConfigError, match="preprocessing"):
        Blur()(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))


@torch.no_grad()
def test_padding_repeats_the_border():
    model = Blur()
    image = torch.randn(1, 3, 30, 20)
    repeated = nn.functional.pad(image, (0, 4, 0, 2), mode="replicate")
    assert torch.equal(model(image), model(repeated)[:, :, :30, :20])


@pytest.mark.parametrize("size", [0, -1, 8193, 10**9, 256.0, True, None, "256"])
def test_impossible_sizes_are_refused(size):
    with pytest.raises(ConfigError, match="size"):
        Preprocessing(size=size)


@pytest.mark.parametrize("values", [(0.5, 0.5), (0.5, 0.5, math.nan), (math.inf, 1, 1), ("a", "b", "c")])
@pytest.mark.parametrize("argument", ["mean", "std"])
def test_means_and_stds_are_three_finite_numbers(argument, values):
    with pytest.raises(ConfigError, match="3 means and 3 positive stds"):
        Preprocessing(**{argument: values})


def test_stds_are_positive():
    with pytest.raises(ConfigError, match="positive"):
        Preprocessing(std=(0.2, 0.0, 0.2))


@pytest.mark.parametrize("threshold", [0, 1, -0.1, 7, 10**400, math.nan, None, "0.5", True])
def test_a_threshold_lies_between_0_and_1(threshold):
    with pytest.raises(ConfigError, match="threshold"):
        check_threshold(threshold)
    assert check_threshold(0.3) == 0.3
