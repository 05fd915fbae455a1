"""Statistics over the stored per-image scores of a benchmark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dermseg.benchmark.report_results import AVERAGED, Results, SystemResult
from dermseg.evaluation.statistics import (
    Comparison,
    MeanInterval,
    best_system,
    compare_with_best,
    critical_difference,
    friedman,
    mean_interval,
    rank_stability,
)

INTERVALS = ("dice", "iou")
"""Metrics whose means get an interval."""


@dataclass(frozen=True)
class Compared:
    """The systems that can be compared image by image, by Dice.

    These are the systems that have finished the folds which the furthest one has: a test of pairs needs the
    same images.
    """

    labels: tuple[str, ...]
    identifiers: tuple[str, ...]
    dice: NDArray[np.float64]
    """(images, systems)."""
    iou: NDArray[np.float64]
    """(images, systems)."""
    left_out: tuple[str, ...]
    """Systems with scores on other folds."""
    folds: tuple[int, ...]
    best: str
    comparisons: Mapping[str, Comparison]
    """With the best, of every other one."""
    stability: NDArray[np.float64]
    """Share of resamples in which each system takes each place (systems, places)."""

    @cached_property
    def ranks(self) -> tuple[float, float, NDArray[np.float64]] | None:
        """Friedman's statistic, its p-value, and the mean ranks (systems,); None for fewer than three."""
        return friedman(self.dice) if len(self.labels) > 2 else None

    @property
    def critical_difference(self) -> float:
        """Difference of mean ranks from which two systems differ at 5 % (Nemenyi)."""
        return critical_difference(len(self.labels), len(self.identifiers))


@dataclass(frozen=True)
class Analysis:
    """Everything that tables and figures show."""

    results: Results
    means: Mapping[str, Mapping[str, float]]
    """Label to metric to mean over images; of systems with scores."""
    intervals: Mapping[str, Mapping[str, MeanInterval]]
    """The same with intervals, of the metrics in `INTERVALS`."""
    compared: Compared | None
    """None with fewer than two systems on the same images."""

    @property
    def scored(self) -> list[SystemResult]:
        """Systems with at least one finished cell."""
        return [system for system in self.results.systems if system.done]

    def ranked(self) -> list[SystemResult]:
        """The same, the best mean Dice first."""
        return sorted(self.scored, key=lambda system: -self.means[system.label]["dice"])


def analyse(results: Results) -> Analysis:
    """Compute means, intervals and comparisons."""
    scored = [system for system in results.systems if system.done]
    return Analysis(
        results,
        {system.label: _means(system) for system in scored},
        {system.label: _intervals(results, system) for system in scored},
        _compare(results),
    )


def _means(system: SystemResult) -> dict[str, float]:
    images = system.images.values()
    return {
        name: float(system.values(name).mean())
        for name in AVERAGED
        if all(name in scores for scores in images)
    }


def _intervals(results: Results, system: SystemResult) -> dict[str, MeanInterval]:
    clusters = results.clusters(list(system.images))
    return {name: mean_interval(system.values(name), clusters) for name in INTERVALS}


def _compare(results: Results) -> Compared | None:
    scored = [system for system in results.systems if system.done]
    if not scored:
        return None
    folds = max((system.folds for system in scored), key=len)
    systems = [system for system in scored if folds <= system.folds]
    # A system may have finished further folds; only images that all systems were tested on count.
    shared = set.intersection(*(set(system.images) for system in systems))
    identifiers = tuple(sorted(shared))
    if len(systems) < 2 or len(identifiers) < 2:
        return None
    table = _paired(systems, identifiers, "dice")
    dice = {system.label: table[:, number] for number, system in enumerate(systems)}
    return Compared(
        labels=tuple(dice),
        identifiers=identifiers,
        dice=table,
        iou=_paired(systems, identifiers, "iou"),
        left_out=tuple(system.label for system in scored if system not in systems),
        folds=tuple(sorted(folds)),
        best=best_system(dice),
        comparisons={comparison.system: comparison for comparison in compare_with_best(dice)},
        stability=rank_stability(table, clusters=results.clusters(identifiers)),
    )


def _paired(systems: Sequence[SystemResult], identifiers: Sequence[str], metric: str) -> NDArray[np.float64]:
    """Give the scores of a metric as (images, systems)."""
    return np.array([[system.images[identifier][metric] for system in systems] for identifier in identifiers])
