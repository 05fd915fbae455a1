"""The facts of a quality report for machines; docs/data.md documents the keys."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from dermseg import __version__
from dermseg.data.quality.examination import Examination
from dermseg.data.quality.measures import COLOUR_SIDE, STRIP
from dermseg.data.quality.suspicions import FULL, LIGHTER, LOW_CONTRAST
from dermseg.files import write_json

VERSION = 1
"""Grows when a key changes its meaning or goes."""

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def write_record(path: Path, examination: Examination, folder: str) -> None:
    """Write what was found as JSON.

    Args:
        path: Destination.
        examination: What was found.
        folder: Folder of the data set as the user gave it.
    """
    write_json(path, record(examination, folder))


def record(examination: Examination, folder: str) -> dict[str, Any]:
    """Give what was found as JSON values."""
    return {
        "version": VERSION,
        "dermseg": __version__,
        "data": {"name": examination.collection.name, "folder": folder},
        "counts": {
            "usable_pairs": len(examination.measures),
            "problems": len(examination.problems),
            "empty_masks": len(examination.empty),
            "near_duplicate_pairs": len(examination.duplicates),
            **{key: len(found) for key, (_, found) in examination.suspicious.items()},
        },
        "sizes": [
            {"height": height, "width": width, "images": count}
            for (height, width), count in examination.sizes
        ],
        "lesion_area_share": quantiles([pair.area_share for pair in examination.measures]),
        "empty_masks": list(examination.empty),
        "suspicious": {
            key: [pair.identifier for pair in found] for key, (_, found) in examination.suspicious.items()
        },
        "near_duplicates": [
            {"first": pair.first, "second": pair.second, "correlation": pair.correlation}
            for pair in examination.duplicates
        ],
        "problems": [
            {"path": str(problem.path), "reason": problem.reason} for problem in examination.problems
        ],
        "method": {
            "colour_side": COLOUR_SIDE,
            "strip": STRIP,
            "lesion_lighter_above": LIGHTER,
            "low_contrast_below": LOW_CONTRAST,
            "full_above": FULL,
        },
        "pairs": [asdict(pair) for pair in examination.measures],
    }


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """Give the quantiles of values by their level; none of no values."""
    if not values:
        return {}
    return {str(level): float(np.quantile(values, level)) for level in _QUANTILES}
