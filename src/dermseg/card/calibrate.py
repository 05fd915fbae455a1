"""From the weights of a run to the weights that ship: size, temperature, threshold, expected Dice."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from dermseg.card.fitting import (
    HEAD,
    THRESHOLDS,
    best_threshold,
    fit_expected_dice,
    fit_temperature,
    fold_temperature,
    risk_coverage,
)
from dermseg.card.overlap import dice
from dermseg.data.images import read_image, read_mask
from dermseg.data.pairs import Pair
from dermseg.inference.predictor import Predictor
from dermseg.models.base import SegmentationModel
from dermseg.models.expected_dice import soft_dice
from dermseg.models.weights import load_model, read_notes, save_model

Unseen: TypeAlias = Sequence[tuple[Path, Sequence[Pair]]]
"""Weights, each with images that they did not learn from."""
Networks: TypeAlias = Sequence[tuple[SegmentationModel, Sequence[Pair]]]

_GRID = 4
"""Pixels between those that a temperature is fitted on; neighbours say the same."""


@dataclass(frozen=True)
class Fitted:
    """What was chosen on images that networks did not learn from, and how they did on them."""

    images: int
    networks: int
    """That these were predicted by, each its own: one, or those of the folds."""
    mirrors: bool
    """Whether it averages an image and its mirror images."""
    size: int
    """Side in pixels at which the network predicts."""
    dice_by_size: dict[int, float]
    """Mean per-image Dice at native resolution and threshold 0.5, by side; empty where there was one."""
    temperature: float
    threshold: float
    crossed_thresholds: list[float]
    """Of each network, in their order: the threshold that the images of the others choose; empty for one."""
    dice_by_threshold: dict[float, float]
    expected_dice: dict[str, float]
    correlation: float
    """Pearson's, of the expected and the real Dice of these images."""
    risk_coverage: list[dict[str, float]]


def calibrate(
    weights: Path, unseen: Unseen, out: Path, sizes: Sequence[int], head: str = HEAD, *, mirrors: bool = False
) -> Fitted:
    """Choose the size, fit temperature, threshold and expected Dice, and write the weights that ship.

    Args:
        weights: Of a training run.
        unseen: What is fitted on: these weights with images that they did not learn from, or, where they
            learned from all, the networks of the folds with theirs.
        out: The file to write, in half precision; what was fitted is in its notes.
        sizes: Sides at which the network may predict, of which the best is chosen; or the one.
        head: Name of the network's last convolution, which takes the temperature.
        mirrors: Whether the network is to average an image and its mirror images.
    """
    networks: Networks = [(load_model(path), pairs) for path, pairs in unseen]
    for network, _ in networks:
        network.mirrors = mirrors
    by_size = {size: _mean_dice(_at(networks, size)) for size in sizes} if len(sizes) > 1 else {}
    networks = _at(networks, max(by_size, key=lambda size: by_size[size], default=sizes[0]))
    temperature = fit_temperature(*_logits(networks))
    for network, _ in networks:
        fold_temperature(network, temperature, head)
    found, soft = _by_threshold(networks)
    model = load_model(weights)
    model.preprocessing, model.mirrors = networks[0][0].preprocessing, mirrors
    fold_temperature(model, temperature, head)
    model.threshold = best_threshold(found)
    column = THRESHOLDS.index(model.threshold)
    model.expected_dice = fit_expected_dice(soft[:, column].tolist(), found[:, column].tolist())
    estimate = model.expected_dice.intercept + model.expected_dice.slope * soft[:, column]
    fitted = Fitted(
        images=len(found),
        networks=len(networks),
        mirrors=mirrors,
        size=model.preprocessing.size,
        dice_by_size=by_size,
        temperature=temperature,
        threshold=model.threshold,
        crossed_thresholds=_crossed_thresholds(found, [len(pairs) for _, pairs in networks]),
        dice_by_threshold=dict(zip(THRESHOLDS, found.mean(axis=0).tolist(), strict=True)),
        expected_dice=asdict(model.expected_dice),
        correlation=float(np.corrcoef(estimate, found[:, column])[0, 1]),
        risk_coverage=[
            asdict(point) for point in risk_coverage(estimate.tolist(), found[:, column].tolist())
        ],
    )
    notes = {**_without_pictures(read_notes(weights)), "calibration": asdict(fitted)}
    save_model(model, out, notes=notes, half=True)
    return fitted


def _crossed_thresholds(found: NDArray[np.float64], images: Sequence[int]) -> list[float]:
    """Choose the threshold of each network without the rows of its own images."""
    if len(images) == 1:
        return []
    owners = np.repeat(np.arange(len(images)), images)
    return [best_threshold(found[owners != owner]) for owner in range(len(images))]


def _without_pictures(notes: dict[str, Any]) -> dict[str, Any]:
    """Leave out the fingerprints, which are tiny pictures: nothing that shows an image ships."""
    kept = {key: value for key, value in notes.items() if key != "fingerprints"}
    if "earlier" in kept:
        kept["earlier"] = _without_pictures(kept["earlier"])
    if "members" in kept:
        kept["members"] = [_without_pictures(member) for member in kept["members"]]
    return kept


def _at(networks: Networks, size: int) -> Networks:
    for network, _ in networks:
        network.preprocessing = replace(network.preprocessing, size=size)
    return networks


def _predictions(networks: Networks, what: str) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Give probabilities and lesion (height, width) of every image, with a progress bar of that name."""
    predictors = [(Predictor(network), pairs) for network, pairs in networks]
    cases = [(predictor, pair) for predictor, pairs in predictors for pair in pairs]
    for predictor, pair in track(cases, what):
        yield predictor.predict(read_image(pair.image)).probability, read_mask(pair.mask)


def _mean_dice(networks: Networks) -> float:
    size = networks[0][0].preprocessing.size
    found = [dice(probability >= 0.5, target) for probability, target in _predictions(networks, f"{size} px")]
    return float(np.mean(found))


def _logits(networks: Networks) -> tuple[Tensor, Tensor]:
    """Logits and lesion (N,) of the pixels of a coarse grid over every image."""
    grid = slice(None, None, _GRID), slice(None, None, _GRID)
    probabilities, masks = [], []
    for probability, target in _predictions(networks, "Logits"):
        probabilities.append(torch.from_numpy(probability[grid].ravel()))
        masks.append(torch.from_numpy(target[grid].ravel()))
    return torch.logit(torch.cat(probabilities), eps=1e-6), torch.cat(masks)


def _by_threshold(networks: Networks) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Dice at native resolution, and soft Dice, of every image (rows) at every threshold (columns)."""
    found, soft = [], []
    for probability, target in _predictions(networks, "Thresholds"):
        masks = [probability >= threshold for threshold in THRESHOLDS]
        found.append([dice(mask, target) for mask in masks])
        soft.append([soft_dice(probability, mask) for mask in masks])
    return np.asarray(found), np.asarray(soft)
