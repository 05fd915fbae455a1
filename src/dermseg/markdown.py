"""Text for Markdown files."""

_SIGNS = "\\`*_<>|["


def escaped(words: str) -> str:
    """Keep text from being read as markup, in a paragraph and in a cell of a table."""
    for sign in _SIGNS:
        words = words.replace(sign, f"\\{sign}")
    return " ".join(words.split())
