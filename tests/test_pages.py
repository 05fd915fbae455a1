"""Parts of pages: nothing that a name holds becomes markup, and drawings live with the page's colours."""

import re
from functools import cache

import pytest
from matplotlib.figure import Figure

from dermseg.pages import escaped, plot, table


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ('<b a="1">', "&lt;b a=&quot;1&quot;&gt;"),
        ("it's & شامة", "it&#x27;s &amp; شامة"),
        ("\udce9\ud800", "\N{REPLACEMENT CHARACTER}" * 2),
        (3, "3"),
    ],
)
def test_anything_becomes_text(value: object, written: str):
    assert escaped(value) == written
    assert escaped(value).encode()


def test_tables_escape_their_cells_and_set_numbers_right():
    written = table(("name", "n<"), [("<i>", 1)], numeric=("n<",))
    assert "<td>&lt;i&gt;</td>" in written
    assert '<td class="number">1</td>' in written
    assert '<th class="number">n&lt;</th>' in written


@cache
def drawn(name: str) -> str:
    """Drawn once for all tests: it takes a while."""
    return plot(drawing(), name, 'a "drawing"')


def drawing() -> Figure:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#ff0000", marker="o")
    axes.set_title("a title")
    return figure


def test_black_takes_the_colour_of_the_page_and_other_colours_stay():
    written = drawn("one")
    assert "#000000" not in written
    assert "currentColor" in written
    assert "#ff0000" in written
    assert "a title" in written
    assert 'aria-label="a &quot;drawing&quot;"' in written
    assert written.startswith("<svg ")
    assert written.rstrip().endswith("</svg>")


def test_names_inside_two_drawings_do_not_meet():
    found = [set(re.findall(r'\sid="([^"]+)"', drawn(name))) for name in ("one", "two")]
    assert found[0]
    assert not found[0] & found[1]


def test_the_same_drawing_is_the_same_text():
    assert plot(drawing(), "one", 'a "drawing"') == drawn("one")
