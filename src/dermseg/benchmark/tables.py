"""Tables of a report: one set of values, written as HTML, Markdown, LaTeX and CSV."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from dermseg import markdown
from dermseg.evaluation.statistics import MeanInterval
from dermseg.pages import escaped
from dermseg.paths import printable

Value = str | int | float | MeanInterval | None
"""None is a cell that has nothing to show, such as one that was not run."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    key: str
    """Its name in CSV files; a mean with an interval takes three columns, KEY, KEY_low and KEY_high."""
    title: str
    digits: int = 3
    """Decimals of numbers that are not whole."""
    group: str = ""
    """Heading above columns that belong together."""
    best: Literal["highest", "lowest"] | None = None
    """Which value is set in bold."""
    percent: bool = False
    """Shares are printed as per cent; CSV files keep the share."""
    p_value: bool = False
    """Very small ones are printed as a bound."""

    @property
    def full_title(self) -> str:
        """The title with its group, where there is one heading only."""
        return f"{self.group}: {self.title}" if self.group else self.title


@dataclass(frozen=True)
class Table:
    """A table with its caption."""

    name: str
    """Of its files."""
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: Sequence[Mapping[str, Value]]
    """Values by key of the column; a missing key is None."""
    strong: Mapping[str, float] = field(init=False)
    """The best number of each column that has one."""

    def __post_init__(self) -> None:
        best = {"highest": max, "lowest": min}
        strong = {}
        for column in self.columns:
            numbers = [number for row in self.rows if (number := _number(row.get(column.key))) is not None]
            if column.best and len(numbers) > 1:
                strong[column.key] = best[column.best](numbers)
        object.__setattr__(self, "strong", strong)

    def cells(self) -> Iterator[list[tuple[str, bool]]]:
        """Give each row as text, and whether it is the best of its column."""
        for row in self.rows:
            yield [
                (text(row.get(column.key), column), self._is_best(row.get(column.key), column))
                for column in self.columns
            ]

    def _is_best(self, value: Value, column: Column) -> bool:
        return column.key in self.strong and _number(value) == self.strong[column.key]


def text(value: Value, column: Column) -> str:
    """Write one value as it is printed."""
    if value is None:
        return ""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, MeanInterval):
        middle = _rounded(value.mean, column)
        if value.low is None or value.high is None:
            return middle
        return f"{middle} ({_rounded(value.low, column)} to {_rounded(value.high, column)})"
    return _rounded(value, column)


def _rounded(value: float, column: Column) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if column.p_value:
        return significance(value)
    return f"{100 * value:.{column.digits}f} %" if column.percent else f"{value:,.{column.digits}f}"


def significance(p: float) -> str:
    """Write a p-value; of very small ones only a bound, since their digits mean nothing."""
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def _number(value: Value) -> float | None:
    if value is None or isinstance(value, str):
        return None
    return value.mean if isinstance(value, MeanInterval) else float(value)


def as_csv(table: Table) -> str:
    """Write a table as CSV, numbers with all their digits."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    estimated = {
        column.key
        for column in table.columns
        if any(isinstance(row.get(column.key), MeanInterval) for row in table.rows)
    }
    names = []
    for column in table.columns:
        names += [
            column.key,
            *((f"{column.key}_low", f"{column.key}_high") if column.key in estimated else ()),
        ]
    writer.writerow(names)
    for row in table.rows:
        written: list[object] = []
        for column in table.columns:
            value = row.get(column.key)
            if column.key in estimated:
                ends = (value.low, value.high) if isinstance(value, MeanInterval) else (None, None)
                written += [_number(value), *ends]
            else:
                written.append(printable(value) if isinstance(value, str) else value)
        writer.writerow(written)
    return lines.getvalue()


def as_markdown(table: Table) -> str:
    """Write a table as Markdown; groups stand before the titles, since it knows one line of headings."""
    numeric = _numeric(table)
    lines = [
        f"### {markdown.escaped(table.title)}",
        "",
        markdown.escaped(table.caption),
        "",
        "| " + " | ".join(markdown.escaped(column.full_title) for column in table.columns) + " |",
        "|" + "|".join("---:" if column.key in numeric else "---" for column in table.columns) + "|",
    ]
    for cells in table.cells():
        escaped_cells = ((markdown.escaped(cell), strong) for cell, strong in cells)
        written = (f"**{cell}**" if strong else cell for cell, strong in escaped_cells)
        lines.append("| " + " | ".join(written) + " |")
    return "\n".join(lines) + "\n"


def as_latex(table: Table) -> str:
    r"""Write a table as a LaTeX float; it needs \usepackage{booktabs}."""
    numeric = _numeric(table)
    layout = "".join("r" if column.key in numeric else "l" for column in table.columns)
    lines = [
        r"\begin{table*}",
        rf"  \caption{{{_latex(table.title)}. {_latex(table.caption)}}}",
        rf"  \label{{tab:{table.name}}}",
        r"  \centering\small",
        rf"  \begin{{tabular}}{{{layout}}}",
        r"    \toprule",
        *_latex_groups(table),
        "    " + " & ".join(_latex(column.title) for column in table.columns) + r" \\",
        r"    \midrule",
    ]
    for cells in table.cells():
        written = (rf"\textbf{{{_latex(cell)}}}" if strong else _latex(cell) for cell, strong in cells)
        lines.append("    " + " & ".join(written) + r" \\")
    lines += [r"    \bottomrule", r"  \end{tabular}", r"\end{table*}"]
    return "\n".join(lines) + "\n"


def as_html(table: Table) -> str:
    """Write a table as HTML, with its groups as a heading of their own."""
    numeric = _numeric(table)
    kinds = [' class="number"' if column.key in numeric else "" for column in table.columns]
    titles = "".join(
        f"<th{kind}>{escaped(column.title)}</th>" for kind, column in zip(kinds, table.columns, strict=True)
    )
    groups = "".join(
        f'<th class="group" colspan="{width}">{escaped(name)}</th>'
        if name
        else f'<th colspan="{width}"></th>'
        for name, width in _groups(table)
    )
    above = f"<tr>{groups}</tr>" if any(column.group for column in table.columns) else ""
    rows = []
    for cells in table.cells():
        written = (
            f"<td{kind}>{f'<b>{escaped(cell)}</b>' if strong else escaped(cell)}</td>"
            for kind, (cell, strong) in zip(kinds, cells, strict=True)
        )
        rows.append(f"<tr>{''.join(written)}</tr>")
    body = "\n".join(rows)
    return (
        f'<div class="wide"><table class="results">\n<thead>{above}<tr>{titles}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>\n"
        f'<p class="small">{escaped(table.caption)}</p>'
    )


def _numeric(table: Table) -> set[str]:
    """Name the columns that hold no text."""
    return {
        column.key
        for column in table.columns
        if not any(isinstance(row.get(column.key), str) for row in table.rows)
    }


def _groups(table: Table) -> list[tuple[str, int]]:
    """List the headings above the columns with the number of columns they span."""
    return [
        (name, len(list(columns)))
        for name, columns in groupby(table.columns, key=lambda column: column.group)
    ]


def _latex_groups(table: Table) -> list[str]:
    if not any(column.group for column in table.columns):
        return []
    cells, rules, start = [], [], 1
    for name, width in _groups(table):
        cells.append(rf"\multicolumn{{{width}}}{{c}}{{{_latex(name)}}}" if name else " & ".join([""] * width))
        if name:
            rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    return ["    " + " & ".join(cells) + r" \\", "    " + " ".join(rules)]


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def _latex(words: str) -> str:
    return " ".join("".join(_LATEX.get(character, character) for character in words).split())
