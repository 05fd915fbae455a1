"""What `--help` says of an option."""

from argparse import SUPPRESS, Action

from jsonargparse import DefaultHelpFormatter


class PlainHelp(DefaultHelpFormatter):
    """Says what an option does, and its value where none is given; not its Python type."""

    def _get_help_string(self, action: Action) -> str:
        said = action.help or ""
        unset = action.default is False or action.default in (None, SUPPRESS, [], {})
        if unset or not action.option_strings:
            return said
        return f"{said} (default: %(default)s)"
