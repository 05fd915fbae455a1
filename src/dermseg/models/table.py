"""The table that `dermseg models` prints."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from dermseg.errors import ConfigError
from dermseg.models.registry import list_models, model_info


def print_models(patterns: Sequence[str] = ()) -> None:
    """Print the networks whose name matches a wildcard pattern, with where each comes from.

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
    table = Table("name", "year", "family", "parameters", "paper", "original code, its licence")
    for column in table.columns[4:]:
        column.overflow = "fold"
    table.columns[0].no_wrap = True
    table.columns[3].justify = "right"
    for name in names:
        info = model_info(name)
        parameters = f"{info.parameters / 1e6:.2f} M"
        paper = info.paper.removeprefix("https://")
        table.add_row(name, str(info.year), info.family, parameters, paper, f"{info.code}, {info.licence}")
    Console().print(table)
