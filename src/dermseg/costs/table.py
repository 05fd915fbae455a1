"""The costs of every registered network, worked out once and kept beside the code.

`python scripts/model_pages.py` writes the file; a test holds it against the networks.
"""

import csv
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from functools import cache
from importlib.resources import files
from pathlib import Path

from dermseg.files import write_text

SIZE = 256
"""Side in pixels of the image that costs are given for."""


@dataclass(frozen=True)
class CostRow:
    """What a network of default form costs: one forward pass over one image of `SIZE`, in float32."""

    name: str
    parameters: int
    passes: int
    """Passes over the image that make one prediction."""
    multiply_adds: int
    """Those of all passes, the scan included."""
    scan: int
    """Those of the scan."""
    printed: int
    """The number that papers print; see `dermseg.costs.network.NetworkCosts`."""
    peak_bytes: int
    """Most bytes of activations alive at any time."""


@cache
def stored_costs() -> dict[str, CostRow]:
    """Return the rows of the file, by name."""
    text = files("dermseg.costs").joinpath("systems.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {
        row["name"]: CostRow(row["name"], *(int(row[column.name]) for column in fields(CostRow)[1:]))
        for row in rows
    }


def write_costs(rows: Iterable[CostRow], path: Path) -> None:
    """Write the file."""
    lines = [",".join(column.name for column in fields(CostRow))]
    lines += [",".join(map(str, astuple(row))) for row in rows]
    write_text(path, "\n".join(lines) + "\n")
