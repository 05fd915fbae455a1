"""What is fitted on images that a network did not learn from: temperature, threshold, expected Dice."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor, nn
from torch.nn import functional as F

from dermseg.errors import ConfigError
from dermseg.models.base import SegmentationModel
from dermseg.models.ensemble import members_of
from dermseg.models.expected_dice import ExpectedDice

HEAD = "decoder.head"
"""Name of the last convolution of the networks that ship."""
THRESHOLDS = tuple(round(0.25 + 0.025 * step, 3) for step in range(21))
"""Thresholds that are tried, 0.25 to 0.75."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """Images whose expected Dice is highest, and how good they are."""

    share: float
    """Of all images, those with the highest expected Dice."""
    dice: float
    """Their mean Dice."""


def fit_temperature(logits: Tensor, masks: Tensor) -> float:
    """Find the temperature T with the lowest cross-entropy of sigmoid(logits / T) (Guo et al., 2017).

    Args:
        logits: Of images that the network did not learn from, any shape.
        masks: 0 or 1, same shape.

    Returns:
        T, between 1/8 and 8; above 1 where the network was too sure.
    """
    target = masks.to(logits.dtype)

    def cost(exponent: float) -> float:
        return float(F.binary_cross_entropy_with_logits(logits * 2.0**-exponent, target))

    found = minimize_scalar(cost, bounds=(-3.0, 3.0), method="bounded", options={"xatol": 1e-3})
    return float(2.0**found.x)


@torch.no_grad()
def fold_temperature(model: SegmentationModel, temperature: float, head: str = HEAD) -> None:
    """Divide a network's logits by a temperature, by dividing the weights of its last convolution.

    So every program that runs the network, an exported one too, gets calibrated probabilities.

    Args:
        model: The network, or an ensemble, changed in place.
        temperature: From `fit_temperature`.
        head: Name of the convolution that makes the logits.

    Raises:
        ConfigError: The network, or a member, has no convolution of that name.
    """
    for network in members_of(model):
        try:
            last = network.get_submodule(head)
        except AttributeError:
            last = nn.Identity()
        if not isinstance(last, nn.Conv2d):
            raise ConfigError(f"{model.name} has no last convolution '{head}' that could take a temperature")
        for parameter in last.parameters():
            parameter.div_(temperature)


def best_threshold(dice: NDArray[np.float64]) -> float:
    """Choose the threshold with the highest mean per-image Dice.

    Args:
        dice: Of every image (rows) at every threshold of `THRESHOLDS` (columns).
    """
    return THRESHOLDS[int(dice.mean(axis=0).argmax())]


def fit_expected_dice(soft: Sequence[float], dice: Sequence[float]) -> ExpectedDice:
    """Fit the line from soft Dice to Dice by least squares.

    Args:
        soft: `dermseg.models.expected_dice.soft_dice` of every image.
        dice: The Dice that it had.
    """
    slope, intercept = np.polyfit(np.asarray(soft), np.asarray(dice), 1)
    return ExpectedDice(float(intercept), float(slope))


def risk_coverage(expected: Sequence[float], dice: Sequence[float], steps: int = 20) -> list[Coverage]:
    """Leave out the images of which least is expected, and see how good the rest is.

    Args:
        expected: Expected Dice of every image.
        dice: The Dice that it had.
        steps: Points of the curve, from 1 / steps of the images to all of them.
    """
    ranked = np.asarray(dice)[np.argsort(-np.asarray(expected), kind="stable")]
    counts = [max(1, round(len(ranked) * step / steps)) for step in range(1, steps + 1)]
    return [Coverage(count / len(ranked), float(ranked[:count].mean())) for count in counts]
