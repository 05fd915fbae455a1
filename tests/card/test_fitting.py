"""What is fitted is what was planted."""

import numpy as np
import pytest
import torch

from dermseg.card.fitting import (
    THRESHOLDS,
    best_threshold,
    fit_expected_dice,
    fit_temperature,
    fold_temperature,
    risk_coverage,
)
from dermseg.errors import ConfigError
from dermseg.models.ensemble import Ensemble
from dermseg.models.registry import create_model

SMALL = {"width": 8, "depths": (1, 1, 1, 1), "depths_decoder": (1, 1, 1, 1), "state": 2}


def test_a_planted_temperature_is_found():
    random = torch.Generator().manual_seed(0)
    honest = 3 * torch.randn(40_000, generator=random)
    masks = torch.rand(40_000, generator=random) < honest.sigmoid()
    assert fit_temperature(2.5 * honest, masks) == pytest.approx(2.5, rel=0.05)


@pytest.mark.parametrize("members", [1, 2])
def test_a_folded_temperature_divides_the_logits(members):
    torch.manual_seed(0)
    networks = [create_model("vm_unet", **SMALL) for _ in range(members)]
    model = (Ensemble(networks) if members > 1 else networks[0]).eval()
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        before = model(images)
        fold_temperature(model, 2.0)
        assert torch.allclose(model(images), before / 2, atol=1e-6)


def test_a_network_without_a_last_convolution_is_refused():
    with pytest.raises(ConfigError, match=r"decoder\.head"):
        fold_temperature(create_model("unet"), 2.0)


def test_the_threshold_with_the_highest_mean_wins():
    dice = np.full((3, len(THRESHOLDS)), 0.5)
    dice[:, 4] = 0.6
    dice[0, 7] = 0.7  # the best of one image, not of their mean
    assert best_threshold(dice) == THRESHOLDS[4]


def test_a_planted_line_is_found():
    soft = np.linspace(0.5, 1, 20)
    line = fit_expected_dice(soft.tolist(), (1.2 * soft - 0.3).tolist())
    assert line.slope == pytest.approx(1.2)
    assert line.intercept == pytest.approx(-0.3)


def test_coverage_leaves_out_what_is_expected_worst():
    curve = risk_coverage([0.9, 0.1, 0.5, 0.7], [1.0, 0.0, 0.4, 0.8], steps=4)
    assert [point.share for point in curve] == [0.25, 0.5, 0.75, 1.0]
    assert [point.dice for point in curve] == pytest.approx([1.0, 0.9, 2.2 / 3, 0.55])
