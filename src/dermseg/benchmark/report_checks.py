"""Whether a cell's files hold what a benchmark can have written: a table may be whole and its values not."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermseg.data.pairs import listing
from dermseg.errors import DataError
from dermseg.evaluation.metrics import COUNTS, METRICS
from dermseg.files import read_json
from dermseg.paths import printable

_PIXELS = (*COUNTS, "tn")
_REMEDY = "restore it, or delete the folder of the cell and continue the benchmark"
_ROUNDING = 1e-9
_COSTS = ("parameters", "multiply_adds", "images_per_second", "peak_memory_bytes", "best_epoch")
"""Numbers of cell.json that a report shows."""


def check_scores(
    path: Path, identifiers: Iterable[str], scores: Mapping[str, NDArray[np.float64]], test: Iterable[str]
) -> None:
    """Check the content of a per_image.csv.

    Args:
        path: The file, for errors.
        identifiers: Its lines.
        scores: Its columns.
        test: Identifiers of the fold's test side.

    Raises:
        DataError: A column is missing, the lines are not the images of the test side, or a value is out of
            its range.
    """
    missing = [name for name in ("dice", "iou", *COUNTS) if name not in scores]
    if missing:
        raise DataError(f"{path} lacks the column {missing[0]}; {_REMEDY}")
    found, expected = set(identifiers), {printable(name) for name in test}
    if lacking := sorted(expected - found):
        raise DataError(
            f"{path} lacks {len(lacking):,} of the {len(expected):,} test images of its fold: "
            f"{listing(lacking)}; {_REMEDY}"
        )
    if strange := sorted(found - expected):
        raise DataError(
            f"{path} has images that are not on the test side of its fold: {listing(strange)}; {_REMEDY}"
        )
    for name, values in scores.items():
        if not _are_possible(name, values):
            raise DataError(f"{path} holds values of {name} that cannot be; {_REMEDY}")
    if {"height", "width", *_PIXELS} <= scores.keys():
        counted = sum(scores[name] for name in _PIXELS)
        if not np.array_equal(counted, scores["height"] * scores["width"]):
            raise DataError(f"{path} does not count every pixel once; {_REMEDY}")


def read_facts(path: Path) -> dict[str, Any]:
    """Read a cell.json; one that is missing says nothing.

    Raises:
        DataError: It is damaged, or a number in it is none.
    """
    if not path.exists():
        return {}
    facts = read_json(path)
    if facts is None:
        raise DataError(f"{path} is damaged; {_REMEDY}")
    for name in _COSTS:
        value = facts.get(name)
        if value is not None and not (isinstance(value, int | float) and 0 < value <= sys.float_info.max):
            raise DataError(f"{path}: {name} is {value!r}, not a number above 0; {_REMEDY}")
    return facts


def _are_possible(name: str, values: NDArray[np.float64]) -> bool:
    if name in _PIXELS:
        return bool(((values >= 0) & (values == values.round())).all())
    if name in METRICS and not METRICS[name].pixels:
        return bool(((values >= 0) & (values <= 1 + _ROUNDING)).all())
    # Distances and sides; of other columns nothing is known.
    return name not in (*METRICS, "height", "width") or bool((values >= 0).all())
