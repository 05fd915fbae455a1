"""The command `dermseg card`."""

from pathlib import Path


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
    from dermseg.errors import CheckpointError
    from dermseg.files import read_json, write_text
    from dermseg.weights import DEFAULT, card_file

    for name in names or [DEFAULT]:
        path = card_file(name)
        facts = read_json(path)
        if facts is None:
            raise CheckpointError(f"{path} is missing or damaged; install dermseg again")
        title = f"The weights '{name}' of dermseg"
        parts = sections(facts)
        if out is None:
            Console().print(Markdown(write(title, parts)))
        else:
            write_card(out / f"{name}.html", title, parts, facts)
            write_text(out / f"{name}.md", write(title, parts))
            print(f"Written to {out / f'{name}.html'} and {out / f'{name}.md'}")
    return 0
