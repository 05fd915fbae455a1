"""What an evaluation found: scores of every image, what they come from, and what could not be scored."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dermseg.data.groups import Group, merged
from dermseg.data.pairs import Pair, Problem
from dermseg.evaluation.calibration import Calibration
from dermseg.evaluation.metrics import COUNTS, METRICS, ImageScores, PooledScores, pool
from dermseg.evaluation.statistics import MeanInterval, mean_interval


@dataclass(frozen=True, slots=True)
class ScoredImage:
    """One image with its scores."""

    pair: Pair
    height: int
    width: int
    scores: ImageScores


@dataclass(frozen=True)
class Evaluation:
    """Scores of a data set."""

    images: tuple[ScoredImage, ...]
    """In the order of the identifiers."""
    problems: tuple[Problem, ...]
    """Pairs that could not be scored, each with the reason. If any, the command line exits with 1."""
    provenance: dict[str, Any]
    """Data set, split, and network or folder of predictions that the scores come from."""
    out: Path
    """Folder of per_image.csv, summary.json and the pictures."""
    means: dict[str, MeanInterval] = field(default_factory=dict)
    """Per-image mean and interval of every metric in `METRICS`."""
    calibration: Calibration | None = None
    """Of the probabilities of all pixels, where a network gave them."""
    lesions: Mapping[str, str] = field(default_factory=dict)
    """Label of the lesion or patient of an image, where it shares it with another scored one."""

    @property
    def pooled(self) -> PooledScores:
        """Dice and IoU over all pixels of all images."""
        return pool(*([getattr(image.scores, name) for image in self.images] for name in COUNTS))

    @property
    def drawn(self) -> str:
        """What the intervals resample."""
        return "lesions and patients" if self.lesions else "images"

    def ranked(self) -> list[ScoredImage]:
        """Images from the worst Dice to the best; equal ones by identifier."""
        return sorted(self.images, key=lambda image: (image.scores.dice, image.pair.identifier))


def lesions_of(images: Iterable[ScoredImage], groups: Iterable[Group]) -> dict[str, str]:
    """Label the images that show one lesion or one patient with another scored one.

    Args:
        images: That were scored.
        groups: Images of one lesion or patient, others among them.
    """
    scored = {image.pair.identifier for image in images}
    together = (scored.intersection(group.identifiers) for group in groups)
    return merged(names for names in together if len(names) > 1)


def mean_intervals(images: Sequence[ScoredImage], lesions: Mapping[str, str]) -> dict[str, MeanInterval]:
    """Average every metric in `METRICS` over images, each with its 95 % bootstrap interval.

    Args:
        images: That were scored.
        lesions: Label of the lesion or patient of an image, where it shares it with another one: these are
            drawn together.
    """
    clusters = [lesions.get(image.pair.identifier) for image in images]
    return {
        name: mean_interval([getattr(image.scores, name) for image in images], clusters) for name in METRICS
    }
