"""From the weights of a run to the weights that ship: size, temperature, threshold, expected Dice."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from dermseg.card.fitting import (
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

_GRID = 4
"""Pixels between those that a temperature is fitted on; neighbours say the same."""


@dataclass(frozen=True)
class Fitted:
    """What was chosen on images that the network did not learn from, and how it did on them."""

    images: int
    size: int
    """Side in pixels at which the network predicts."""
    dice_by_size: dict[int, float]
    """Mean per-image Dice at native resolution and threshold 0.5, by side."""
    temperature: float
    threshold: float
    dice_by_threshold: dict[float, float]
    expected_dice: dict[str, float]
    correlation: float
    """Pearson's, of the expected and the real Dice of these images."""
    risk_coverage: list[dict[str, float]]


def calibrate(weights: Path, pairs: Sequence[Pair], out: Path, sizes: Sequence[int]) -> Fitted:
    """Choose the size, fit temperature, threshold and expected Dice, and write the weights that ship.

    Args:
        weights: Of a training run.
        pairs: Images with masks that the network did not learn from.
        out: The file to write, in half precision; what was fitted is in its notes.
        sizes: Sides at which the network may predict.
    """
    model = load_model(weights)
    by_size = {size: _mean_dice(_at(model, size), pairs) for size in sizes}
    model = _at(model, max(by_size, key=lambda size: by_size[size]))
    temperature = fit_temperature(*_logits(model, pairs))
    fold_temperature(model, temperature)
    found, soft = _by_threshold(model, pairs)
    model.threshold = best_threshold(found)
    column = THRESHOLDS.index(model.threshold)
    model.expected_dice = fit_expected_dice(soft[:, column].tolist(), found[:, column].tolist())
    estimate = model.expected_dice.intercept + model.expected_dice.slope * soft[:, column]
    fitted = Fitted(
        images=len(pairs),
        size=model.preprocessing.size,
        dice_by_size=by_size,
        temperature=temperature,
        threshold=model.threshold,
        dice_by_threshold=dict(zip(THRESHOLDS, found.mean(axis=0).tolist(), strict=True)),
        expected_dice=asdict(model.expected_dice),
        correlation=float(np.corrcoef(estimate, found[:, column])[0, 1]),
        risk_coverage=[
            asdict(point) for point in risk_coverage(estimate.tolist(), found[:, column].tolist())
        ],
    )
    notes: dict[str, Any] = {**read_notes(weights), "calibration": asdict(fitted)}
    # A fingerprint is a tiny picture in black and white; nothing that shows an image goes into the package.
    learned: dict[str, Any] | None = notes
    while learned is not None:
        learned.pop("fingerprints", None)
        learned = learned.get("earlier")
    save_model(model, out, notes=notes, half=True)
    return fitted


def _at(model: SegmentationModel, size: int) -> SegmentationModel:
    model.preprocessing = replace(model.preprocessing, size=size)
    return model


def _mean_dice(model: SegmentationModel, pairs: Sequence[Pair]) -> float:
    predictor = Predictor(model)
    size = model.preprocessing.size
    found = [
        dice(predictor.predict(read_image(pair.image)).mask, read_mask(pair.mask))
        for pair in track(pairs, f"Dice at {size} px")
    ]
    return float(np.mean(found))


def _logits(model: SegmentationModel, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    """Logits and lesion (N,) of the pixels of a coarse grid over every image."""
    predictor = Predictor(model)
    probabilities, masks = [], []
    for pair in track(pairs, "Logits"):
        grid = slice(None, None, _GRID), slice(None, None, _GRID)
        probabilities.append(
            torch.from_numpy(predictor.predict(read_image(pair.image)).probability[grid].ravel())
        )
        masks.append(torch.from_numpy(read_mask(pair.mask)[grid].ravel()))
    return torch.logit(torch.cat(probabilities), eps=1e-6), torch.cat(masks)


def _by_threshold(
    model: SegmentationModel, pairs: Sequence[Pair]
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], np.ndarray[Any, np.dtype[np.float64]]]:
    """Dice at native resolution, and soft Dice, of every image (rows) at every threshold (columns)."""
    predictor = Predictor(model)
    found, soft = [], []
    for pair in track(pairs, "Thresholds"):
        probability = predictor.predict(read_image(pair.image)).probability
        target = read_mask(pair.mask)
        masks = [probability >= threshold for threshold in THRESHOLDS]
        found.append([dice(mask, target) for mask in masks])
        soft.append([soft_dice(probability, mask) for mask in masks])
    return np.asarray(found), np.asarray(soft)
