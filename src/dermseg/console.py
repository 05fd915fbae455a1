"""Lines that a command prints about files."""

from rich.console import Console

from dermseg.paths import printable


def say(console: Console, text: str, style: str | None = None) -> None:
    """Print text as it is: names may hold brackets and bytes, and paths must stay one word to copy.

    Args:
        console: Where to.
        text: One line or several; it is neither read as markup nor wrapped.
        style: Of all of it, as rich names styles.
    """
    console.print(printable(text), style=style, markup=False, highlight=False, soft_wrap=True)
