"""A model card as Markdown, which a terminal and GitHub show."""

from collections.abc import Sequence

from dermseg.card.sections import Section, Table
from dermseg.markdown import escaped


def write(title: str, card: Sequence[Section]) -> str:
    """Write the whole card; drawings are left out.

    Args:
        title: Of the card.
        card: Its sections.
    """
    parts = [f"# {escaped(title)}"]
    for section in card:
        parts.append(f"## {escaped(section.title)}")
        parts += [*map(escaped, section.paragraphs), *map(_table, section.tables)]
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    lines = [
        _row([escaped(title) for title in table.titles]),
        _row(["---:" if title in table.numeric else "---" for title in table.titles]),
    ]
    return "\n".join([*lines, *(_row([escaped(cell) for cell in row]) for row in table.rows)])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
