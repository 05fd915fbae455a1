"""A model card as Markdown, which a terminal and GitHub show."""

from collections.abc import Sequence

from dermseg.card.sections import Section, Table


def write(title: str, card: Sequence[Section]) -> str:
    """Write the whole card; drawings are left out.

    Args:
        title: Of the card.
        card: Its sections.
    """
    parts = [f"# {title}"]
    for section in card:
        parts += [f"## {section.title}", *map(_escaped, section.paragraphs), *map(_table, section.tables)]
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    lines = [
        _row(table.titles),
        _row(["---:" if title in table.numeric else "---" for title in table.titles]),
    ]
    return "\n".join([*lines, *(_row([_escaped(cell) for cell in row]) for row in table.rows)])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """Keep text from being read as markup."""
    for sign in "\\`*_<>|":
        text = text.replace(sign, f"\\{sign}")
    return text
