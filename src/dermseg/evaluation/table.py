"""Reading tables of numbers again: per_image.csv of an evaluation, metrics.csv of a training."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dermseg.errors import DataError


def read_columns(path: Path, key: str) -> tuple[tuple[str, ...], dict[str, NDArray[np.float64]]]:
    """Read a CSV file of numbers.

    Args:
        path: The file.
        key: Column that names the lines.

    Returns:
        The entries of that column, and every column but `identifier`, one float64 for each line.

    Raises:
        DataError: The file is missing, not such a table, without a line, has a line twice, or a value that is
            no finite number.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
        keys = tuple(row[key] for row in rows)
        names = [name for name in rows[0] if name != "identifier"]
        columns = {name: np.array([float(row[name]) for row in rows]) for name in names}
    except (OSError, ValueError, TypeError, KeyError, IndexError, csv.Error) as error:
        raise DataError(f"{path} is missing or damaged ({error!r}); make it again.") from error
    if len(set(keys)) < len(keys) or not all(np.isfinite(values).all() for values in columns.values()):
        raise DataError(f"{path} holds a line twice, or values that are no numbers; make it again.")
    return keys, columns
