"""The parser behind the options of every command."""

import re
from argparse import SUPPRESS, Action
from difflib import get_close_matches
from typing import NoReturn

from jsonargparse import ArgumentParser, DefaultHelpFormatter


class PlainHelp(DefaultHelpFormatter):
    """Says what an option does, and its value where none is given; not its Python type."""

    def _get_help_string(self, action: Action) -> str:
        said = action.help or ""
        unset = action.default is False or action.default in (None, SUPPRESS, [], {})
        if unset or not action.option_strings:
            return said
        return f"{said} (default: %(default)s)"


class Parser(ArgumentParser):
    """Takes an option by its whole name only, and of a misspelt one says which may be meant.

    A shortened name that is taken today would be another option's tomorrow, and a typing mistake that happens
    to be the beginning of a name would pass for it.

    Args:
        command: Words after `dermseg` that call the command.
        description: What the command does.
    """

    def __init__(self, command: str, description: str) -> None:
        super().__init__(
            prog=f"dermseg {command}",
            description=description,
            formatter_class=PlainHelp,
            exit_on_error=False,
            allow_abbrev=False,
        )

    def let_flags_stand_alone(self) -> None:
        """Let an option that is yes or no stand alone, for yes: --allow_leak, not only --allow_leak true."""
        for action in self._actions:
            if getattr(action, "_typehint", None) is bool:
                action.nargs, action.const = "?", True

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise an `argparse.ArgumentError`."""
        # The parser passes its own errors through here a second time.
        if message.startswith("unrecognized arguments: ") and not message.endswith(")"):
            message += self._meant(message)
        super().error(message, ex)

    def _meant(self, message: str) -> str:
        options = [option for action in self._actions for option in action.option_strings]
        for word in re.findall(r"--\w+", message):
            if close := get_close_matches(word, options, n=1):
                return f" (did you mean {close[0]}?)"
        return ""
