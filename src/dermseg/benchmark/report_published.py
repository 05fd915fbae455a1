"""Numbers that others printed, from a file beside this one that names their sources."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml


@dataclass(frozen=True, slots=True)
class PaperRow:
    """A row of the paper's Table 1 or 2."""

    name: str
    """As printed."""
    key: str
    """Name of the network here (Table 1), or its `xlstm_layers` (Table 2)."""
    dice: float
    iou: float


@dataclass(frozen=True, slots=True)
class Published:
    """What the report sets beside its own numbers."""

    paper_source: str
    table_1: tuple[PaperRow, ...]
    table_2: tuple[PaperRow, ...]
    humans_source: str
    humans: Mapping[str, tuple[float, float]]
    """By metric, a range of the agreement of two people."""


@cache
def published() -> Published:
    """Read the file."""
    text = files("dermseg.benchmark").joinpath("report_published.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    paper, humans = values["paper"], values["humans"]
    return Published(
        paper_source=paper["source"],
        table_1=tuple(PaperRow(*row) for row in paper["table_1"]),
        table_2=tuple(PaperRow(*row) for row in paper["table_2"]),
        humans_source=humans["source"],
        humans={name: tuple(humans[name]) for name in ("dice", "iou")},
    )
