"""The command `dermseg card`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dermseg.errors import CheckpointError, DataError


def card(names: list[str] | None = None, out: Path | None = None) -> int:
    """Show the model card of weights that ship: what they learned from, scores, robustness, limits.

    Args:
        names: Of the weights; 'default' when none is given.
        out: Folder for NAME.html and NAME.md; without it the card is printed.
    """
    from rich.console import Console
    from rich.markdown import Markdown

    from dermseg.card.markdown import write
    from dermseg.card.page import write_card
    from dermseg.card.sections import sections
    from dermseg.files import read_json, write_text
    from dermseg.weights import DEFAULT, card_file

    for name in names or [DEFAULT]:
        path = card_file(name)
        facts = read_json(path)
        if facts is None:
            raise CheckpointError(f"{path} is missing or damaged; install dermseg again")
        title = f"The weights '{name}' of dermseg"
        with _blamed(path):
            parts = sections(facts)
            text = write(title, parts)
            if out is not None:
                write_card(out / f"{name}.html", title, parts, facts)
        if out is None:
            Console().print(Markdown(text))
        else:
            write_text(out / f"{name}.md", text)
            print(f"Written to {out / f'{name}.html'} and {out / f'{name}.md'}")
    return 0


@contextmanager
def _blamed(path: Path) -> Iterator[None]:
    """Take a fact that is missing, or of another kind, for damage of the file: it ships with its reader."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, DataError) as error:
        raise CheckpointError(f"{path} is damaged; install dermseg again") from error
