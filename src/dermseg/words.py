"""What is read from, and said about, the words of a command line."""

import re
from collections.abc import Sequence

_OPTION = re.compile(r"^--[^=]+")
_UNION = re.compile(r"Does not validate against any .* Subtypes: (.*?) Errors: .* Given value: (.*)$")
_CLASS = re.compile(r"<class '([\w.]+)'>")
_LONGEST = 500
"""Letters of a message; a value that it quotes may be a whole file."""
_CHOICE = re.compile(r"Expected a typing\.Literal\[(.*?)\]\. Got value: ")
_TYPE = re.compile(r"Expected an? <class '(\w+)'>\. Got value:")


def underscored(words: Sequence[str]) -> list[str]:
    """Read --batch-size as --batch_size, up to a word `--`; what follows an equals sign stays as it is."""
    end = words.index("--") if "--" in words else len(words)
    return [_OPTION.sub(_name, word) for word in words[:end]] + list(words[end:])


def _name(option: re.Match[str]) -> str:
    return "--" + option[0][2:].replace("-", "_")


def one_line(error: Exception) -> str:
    """Say in one short line, without the parser's own vocabulary, what is wrong with an option."""
    said = " ".join(str(error).replace("Parser key ", "option ").split()).rstrip(".")
    said = _CHOICE.sub(r"expected one of \1, got ", _UNION.sub(_expected, said))
    said = _TYPE.sub(r"expected \1, got", said)
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]} ..."


def _expected(found: re.Match[str]) -> str:
    types = [name for name in _CLASS.findall(found[1]) if name != "NoneType"]
    return f"expected {' or '.join(types)}, got {found[2]}"
