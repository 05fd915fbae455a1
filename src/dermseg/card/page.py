"""A model card as one HTML page."""

from collections.abc import Sequence
from pathlib import Path

from dermseg.card.drawings import DRAWINGS
from dermseg.card.sections import Facts, Section
from dermseg.pages import escaped, plot, refuse_foreign_page, table, write_page


def write_card(path: Path, title: str, card: Sequence[Section], facts: Facts) -> None:
    """Write the page; an earlier card there is replaced.

    Args:
        path: Destination.
        title: Of the card.
        card: Its sections.
        facts: What the drawings show.

    Raises:
        ConfigError: The file there is none of ours.
    """
    refuse_foreign_page(path)
    write_page(path, title, "\n".join(_section(section, facts) for section in card))


def _section(section: Section, facts: Facts) -> str:
    parts = [f"<h2>{escaped(section.title)}</h2>"]
    parts += [f"<p>{escaped(paragraph)}</p>" for paragraph in section.paragraphs]
    parts += [table(part.titles, part.rows, part.numeric) for part in section.tables]
    if section.figure:
        draw, meaning = DRAWINGS[section.figure]
        parts.append(plot(draw(facts), section.figure, meaning))
    return "\n".join(parts)
