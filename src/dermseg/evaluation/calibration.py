"""Whether a network's probabilities mean what they say: of pixels called 80 % lesion, are 80 % lesion?

Pixels of all images are counted into bins of equal width by their probability of lesion, which is all that
the reliability curve and the expected calibration error need; so both are exact, however many images stream
through, and counts of several runs add up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermseg.errors import DataError
from dermseg.figures import MADE_BY
from dermseg.files import read_json, replacing

BINS = 15
"""As many as in Guo et al., 2017."""
_CHUNK = 1 << 20
"""Pixels binned at a time: the index and the weight of each take 16 bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Binned counts of probabilities. Bin b holds those in [b, b + 1) / BINS; the last one 1 as well."""

    count: NDArray[np.int64]
    """Pixels in each bin (BINS,)."""
    sum_probability: NDArray[np.float64]
    """Their probabilities of lesion added up."""
    sum_lesion: NDArray[np.int64]
    """How many of them are lesion in the target."""

    @classmethod
    def none(cls) -> "Calibration":
        """Count no pixels."""
        return cls(np.zeros(BINS, np.int64), np.zeros(BINS), np.zeros(BINS, np.int64))

    @classmethod
    def of(cls, probability: NDArray[np.floating[Any]], target: NDArray[np.bool_]) -> "Calibration":
        """Count the pixels of one image.

        Args:
            probability: Probability of lesion (height, width), in [0, 1].
            target: True mask of the same shape, bool.

        Raises:
            DataError: The shapes differ, the target is not boolean, or a value is no probability.
        """
        if probability.shape != target.shape or target.dtype != np.bool_:
            raise DataError(
                f"The target is {target.dtype} {target.shape} beside probabilities {probability.shape}; "
                "calibration needs a boolean mask of the same size."
            )
        found = cls.none()
        values, lesion = probability.reshape(-1), target.reshape(-1)
        for start in range(0, values.size, _CHUNK):
            found += cls._of_chunk(
                values[start : start + _CHUNK].astype(np.float64), lesion[start : start + _CHUNK]
            )
        return found

    @classmethod
    def _of_chunk(cls, values: NDArray[np.float64], lesion: NDArray[np.bool_]) -> "Calibration":
        # Asked this way round, a NaN is refused too.
        if not (values.min() >= 0 and values.max() <= 1):
            raise DataError(
                "Calibration needs probabilities, which lie in [0, 1]; apply a sigmoid to logits."
            )
        bins = np.minimum((values * BINS).astype(np.intp), BINS - 1)
        return cls(
            np.bincount(bins, minlength=BINS),
            np.bincount(bins, weights=values, minlength=BINS).astype(np.float64),
            np.bincount(bins[lesion], minlength=BINS),
        )

    def __add__(self, other: "Calibration") -> "Calibration":
        return Calibration(
            self.count + other.count,
            self.sum_probability + other.sum_probability,
            self.sum_lesion + other.sum_lesion,
        )

    @classmethod
    def from_json(cls, content: Mapping[str, Any], origin: object) -> "Calibration":
        """Take the counts from JSON values, as `to_json` gives them.

        Args:
            content: The values.
            origin: What holds them, for errors.

        Raises:
            DataError: They are damaged, or their bins are others than ours.
        """
        try:
            count = np.array(content["count"], dtype=np.int64)
            sum_probability = np.array(content["sum_probability"], dtype=np.float64)
            sum_lesion = np.array(content["sum_lesion"], dtype=np.int64)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"{origin} is no table of calibration ({error}); evaluate the network again."
            ) from None
        found = cls(count, sum_probability, sum_lesion)
        shapes = {count.shape, sum_probability.shape, sum_lesion.shape}
        within = shapes == {(BINS,)} and bool(
            (sum_lesion >= 0).all()
            and (sum_lesion <= count).all()
            and (sum_probability >= 0).all()
            and (sum_probability <= count * (1 + 1e-9)).all()
        )
        if not within or content.get("edges") != found.edges.tolist():
            raise DataError(
                f"{origin} does not hold the counts of {BINS} equal bins; evaluate the network again."
            )
        return found

    @property
    def edges(self) -> NDArray[np.float64]:
        """Edges of the bins (BINS + 1,)."""
        return np.arange(BINS + 1) / BINS

    @property
    def error(self) -> float:
        """Expected calibration error (ECE: Naeini et al., 2015) of the probability of lesion.

        The mean over all pixels of |share of lesion - mean probability| of their bin: 0 is perfect, NaN says
        that there is no pixel. Most pixels are skin far from any border, which is easy: the curve says more.
        """
        pixels = int(self.count.sum())
        gap = np.abs(self.sum_lesion - self.sum_probability).sum()
        return float(gap / pixels) if pixels else float("nan")

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the reliability curve: mean probability and share of lesion of the bins that hold pixels."""
        held = self.count > 0
        count = self.count[held]
        return self.sum_probability[held] / count, self.sum_lesion[held] / count

    def to_json(self) -> dict[str, Any]:
        """Give the counts as JSON values, which `from_json` takes."""
        names = ("edges", "count", "sum_probability", "sum_lesion")
        return {name: getattr(self, name).tolist() for name in names}


def read_calibration(path: Path) -> Calibration:
    """Read a calibration.json.

    Raises:
        DataError: The file is missing or damaged, or its bins are others than ours.
    """
    content = read_json(path)
    if content is None:
        raise DataError(f"{path} is missing or no JSON object; evaluate the network again.")
    return Calibration.from_json(content, path)


def draw_reliability(calibration: Calibration, path: Path) -> None:
    """Draw the reliability curve over the share of pixels in each bin, as PNG."""
    # Here, since matplotlib takes a while to import; the object interface needs no display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 5.2), layout="constrained", facecolor="white")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    above.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="perfectly calibrated")
    probability, lesion = calibration.curve()
    above.plot(probability, lesion, color="tab:blue", marker="o", markersize=4, label="network")
    above.set_ylabel("share of pixels that are lesion")
    above.set_ylim(-0.02, 1.02)
    above.set_title(f"ECE {calibration.error:.4f}, all pixels pooled", fontsize=10, parse_math=False)
    above.legend(frameon=False, fontsize=9)
    share = calibration.count / max(1, int(calibration.count.sum()))
    below.bar(
        calibration.edges[:-1], share, width=1 / BINS, align="edge", color="tab:blue", edgecolor="white"
    )
    below.set_yscale("log")
    below.set_ylabel("share of pixels")
    below.set_xlabel("predicted probability of lesion")
    below.set_xlim(-0.02, 1.02)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, metadata={"Software": MADE_BY})
