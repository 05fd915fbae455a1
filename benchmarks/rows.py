"""The table that a benchmark writes."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from dermseg.files import replacing


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write `rows`, whose columns are those of the first, as CSV: completely or not at all."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
