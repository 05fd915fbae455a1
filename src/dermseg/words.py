"""What is read from, and said about, the words of a command line."""

import re

_OPTION = re.compile(r"^--[^=]+")


def underscored(word: str) -> str:
    """Read --batch-size as --batch_size; what follows an equals sign stays as it is."""
    return _OPTION.sub(lambda option: "--" + option[0][2:].replace("-", "_"), word)


def one_line(error: Exception) -> str:
    """Say in one line, without the parser's own vocabulary, what is wrong with an option."""
    return " ".join(str(error).replace("Parser key ", "option ").split()).rstrip(".")
