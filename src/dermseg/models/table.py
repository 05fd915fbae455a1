"""The table that `dermseg models` prints."""

import os
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from dermseg.costs.table import SIZE, CostRow, stored_costs
from dermseg.errors import ConfigError
from dermseg.models.registry import ModelInfo, list_models, model_info

UNKNOWN = "-"
WIDE = 200
"""Columns of a table that is not printed on a terminal."""


def print_models(patterns: Sequence[str] = ()) -> None:
    """Print the networks whose name matches a wildcard pattern, with what they cost and where they come from.

    Args:
        patterns: Wildcard patterns such as `"*vm*"`; none for all networks.

    Raises:
        ConfigError: No name matches.
    """
    names = sorted({name for pattern in patterns or ["*"] for name in list_models(pattern)})
    if not names:
        raise ConfigError(
            f"no network matches {' or '.join(patterns)}; there are: {', '.join(list_models())}"
        )
    table = Table(
        "name",
        "year",
        "family",
        "parameters",
        "multiply-adds",
        "original licence",
        "paper",
        caption="Parameters as built, and as released where that differs. Multiply-adds for one image of "
        f"{SIZE} px, scans included; of a network that takes several passes, their number and those of one. "
        "The licence is that of the authors' code. `dermseg models NAME` tells more.",
    )
    for column in table.columns[5:]:
        column.overflow = "fold"
    table.columns[0].no_wrap = True
    for column in table.columns[3:5]:
        column.justify, column.no_wrap = "right", True
    for name in names:
        info = model_info(name)
        costs = stored_costs().get(name)
        table.add_row(
            name,
            str(info.year),
            info.family,
            parameters(info, costs),
            _per_pass(costs) if costs else UNKNOWN,
            info.licence,
            info.paper.removeprefix("https://"),
        )
    console().print(table)


def console() -> Console:
    """Return a console for tables; in a file or a pipe, where nothing sets the width, rows stay whole."""
    free = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(width=WIDE if free else None)


def parameters(info: ModelInfo, costs: CostRow | None) -> str:
    """Return the parameters as built, and as released where that is another number."""
    released = in_units(info.parameters)
    if costs is None or costs.parameters == info.parameters:
        return released
    return f"{in_units(costs.parameters)} ({released})"


def _per_pass(costs: CostRow) -> str:
    each = in_units(costs.multiply_adds / costs.passes)
    return each if costs.passes == 1 else f"{costs.passes} x {each}"


def multiply_adds(count: int, passes: int) -> str:
    """Return the multiply-adds of a prediction, and those of each pass where it takes several."""
    whole = in_units(count)
    return whole if passes == 1 else f"{whole} ({passes} passes of {in_units(count / passes)})"


def in_units(count: float) -> str:
    """Return a count in billions, millions or thousands, with three or four digits: 27.43 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.2f} {unit}" if count < 100 * size else f"{count / size:.1f} {unit}"
    return f"{count:.0f}"


def in_bytes(count: int) -> str:
    """Return a count of bytes in MiB or KiB."""
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"
