"""Lines about files are printed as they are."""

import io
import os

from rich.console import Console

from dermseg.console import say


def test_names_are_neither_markup_nor_wrapped_nor_broken_bytes():
    text = io.StringIO()
    say(Console(file=text, width=20), f"runs/[bold]{'x' * 40}{os.fsdecode(bytes([0xFF]))}", style="red")
    assert text.getvalue() == f"runs/[bold]{'x' * 40}\N{REPLACEMENT CHARACTER}\n"
