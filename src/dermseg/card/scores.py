"""Scores for a model card, from the per-image tables that `dermseg evaluate` writes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermseg.data.groups import merged, published_groups
from dermseg.errors import DataError
from dermseg.evaluation.metrics import COUNTS, JACCARD_THRESHOLD, pool
from dermseg.evaluation.statistics import Interval, bca_interval, mean_interval
from dermseg.evaluation.table import read_columns

METRICS = ("dice", "iou", "threshold_jaccard", "sensitivity", "specificity", "hd95")
"""Per-image scores on a card."""
SIZES = (
    ("below 5 %", 0.0, 0.05),
    ("5 to 20 %", 0.05, 0.2),
    ("20 to 50 %", 0.2, 0.5),
    ("above 50 %", 0.5, 1.01),
)
"""Lesion size: name, and bounds of its share of the image."""


@dataclass(frozen=True, slots=True)
class Row:
    """Scores of one image."""

    identifier: str
    height: int
    width: int
    values: Mapping[str, float]
    """Every metric, and the pixel counts tp, fp, fn, tn."""
    lesion: str | None = None
    """Label of the lesion that other rows show, too, as far as the package knows."""

    @property
    def lesion_share(self) -> float:
        """Lesion as a share of the image."""
        return (self.values["tp"] + self.values["fn"]) / (self.height * self.width)


def read_rows(table: Path) -> list[Row]:
    """Read per_image.csv.

    Raises:
        DataError: The file is missing, or is not such a table.
    """
    identifiers, columns = read_columns(table, "identifier")
    if missing := {"height", "width", *METRICS, *COUNTS} - columns.keys():
        raise DataError(f"{table} lacks the columns {', '.join(sorted(missing))}; evaluate again.")
    heights, widths = columns.pop("height"), columns.pop("width")
    lesions = merged(group.identifiers for group in published_groups(identifiers))
    return [
        Row(
            name,
            int(height),
            int(width),
            {key: float(values[index]) for key, values in columns.items()},
            lesions.get(name),
        )
        for index, (name, height, width) in enumerate(zip(identifiers, heights, widths, strict=True))
    ]


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """Per-image means, and pooled Dice and IoU, all with 95 % intervals, as JSON values."""
    return {
        "images": len(rows),
        "intervals_over": "lesions" if any(_lesions(rows)) else "images",
        "per_image": {name: asdict(_interval(rows, name)) for name in METRICS},
        "pooled": {name: _pooled(rows, name) for name in ("dice", "iou")},
        "failures": sum(row.values["iou"] < JACCARD_THRESHOLD for row in rows) / len(rows),
    }


def _pooled(rows: Sequence[Row], name: str) -> dict[str, Any]:
    """Dice or IoU over the pixels of all images, with its interval."""
    counts = [np.array([row.values[key] for row in rows]) for key in COUNTS]

    def of_images(drawn: NDArray[np.float64]) -> float:
        places = drawn.astype(np.intp)
        return float(getattr(pool(*(count[places] for count in counts)), name))

    everything = np.arange(len(rows), dtype=np.float64)
    return asdict(bca_interval(everything, of_images, _lesions(rows))) | {"mean": of_images(everything)}


def by_size(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Per-image Dice by the lesion's share of the image."""
    groups = [(name, [row for row in rows if low <= row.lesion_share < high]) for name, low, high in SIZES]
    return [_group(name, members) for name, members in groups if members]


def by_label(rows: Sequence[Row], labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Per-image Dice by a label of each image, such as its diagnosis.

    Args:
        rows: Of all images.
        labels: By identifier, in the order in which they are to be listed.
    """
    members: dict[str, list[Row]] = {label: [] for label in (*labels.values(), "unknown")}
    for row in rows:
        members[labels.get(row.identifier, "unknown")].append(row)
    return [_group(label, found) for label, found in members.items() if found]


def _group(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    return {"group": name, "images": len(rows), "dice": asdict(_interval(rows, "dice"))}


def _interval(rows: Sequence[Row], name: str) -> Interval:
    return mean_interval([row.values[name] for row in rows], _lesions(rows))


def _lesions(rows: Sequence[Row]) -> list[str | None]:
    """Give the lesion of each image, None where it stands alone: the images of one are drawn together."""
    return [row.lesion for row in rows]
