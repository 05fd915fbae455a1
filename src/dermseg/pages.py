"""Parts of pages that are one file: no network, no scripts, and readable in light and in dark."""

import base64
import html
import io
import re
from collections.abc import Collection, Iterable, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermseg.errors import ConfigError
from dermseg.figures import MADE_BY
from dermseg.files import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARK = f'<meta name="generator" content="{MADE_BY}">'
_PIXELS_PER_POINT = 2
_HEAD_CHARACTERS = 1000
"""Characters at the beginning of a page within which its mark stands."""


def escaped(value: object) -> str:
    """Write anything as HTML text.

    Names of files may hold markup, quotes, or bytes that are no text; the last become replacement characters.
    """
    text = str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return html.escape(text)


def table(titles: Sequence[str], rows: Iterable[Sequence[object]], numeric: Collection[str] = ()) -> str:
    """Write a table.

    Args:
        titles: One for each column, as text.
        rows: Cells as text; they are escaped here.
        numeric: Titles of the columns that are set flush right.
    """
    kinds = [' class="number"' if title in numeric else "" for title in titles]

    def row(tag: str, cells: Sequence[object]) -> str:
        written = (f"<{tag}{kind}>{escaped(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))
        return f"<tr>{''.join(written)}</tr>"

    body = "\n".join(row("td", cells) for cells in rows)
    return (
        f'<div class="wide"><table>\n<thead>{row("th", titles)}</thead>\n<tbody>\n{body}\n</tbody>\n'
        "</table></div>"
    )


def thumbnail(picture: NDArray[np.uint8], caption: str, encoding: Literal["PNG", "JPEG"] = "JPEG") -> str:
    """Write a picture (height, width, 3) with its caption below; the caption is escaped here."""
    encoded = io.BytesIO()
    # Full chroma resolution: JPEG's usual half would smear thin coloured outlines. PNG ignores both options.
    Image.fromarray(picture).save(encoded, encoding, quality=85, subsampling=0)
    address = data_uri(encoded.getvalue(), encoding)
    height, width = picture.shape[:2]
    size = f'width="{width}" height="{height}"'
    return (
        f'<figure><img alt="{escaped(caption)}" {size} src="{address}">'
        f"<figcaption>{escaped(caption)}</figcaption></figure>"
    )


def gallery(figures: Iterable[str]) -> str:
    """Lay figures out in as many columns as the window has room for."""
    return "\n".join(['<div class="gallery">', *figures, "</div>"])


def data_uri(encoded: bytes, encoding: Literal["PNG", "JPEG"]) -> str:
    """Give an encoded picture as an address that holds the picture itself."""
    return f"data:image/{encoding.lower()};base64,{base64.b64encode(encoded).decode('ascii')}"


def vector(figure: "Figure", name: str) -> str:
    """Draw a matplotlib figure as an SVG document without a background; the same figure gives the same text.

    Args:
        figure: Its layout is settled by this, so that drawing it again is quicker.
        name: Of the drawing; parts of it are named by it.
    """
    import matplotlib as mpl

    drawn = io.StringIO()
    # Text stays text, so that it can be searched, edited, and takes the font of a page.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    figure.set_layout_engine("none")
    return drawn.getvalue()


def inline(document: str, name: str, alternative: str) -> str:
    """Put an SVG document of `vector` into a page; its black takes the colour of the page's text.

    Args:
        document: Drawn in black; other colours stay, and must be seen on white and on black.
        name: Unique on the page: the parts of a drawing refer to each other by names that are global.
        alternative: What the figure shows, for those who cannot see it.
    """
    body = re.sub(r"<metadata>.*?</metadata>", "", document, flags=re.DOTALL)
    opening, inner = body[body.index("<svg") :].split(">", 1)
    found = re.search(r'viewBox="[\d.]+ [\d.]+ ([\d.]+) [\d.]+"', opening)
    # Small drawings are not blown up to the width of the page: letters should have about one size.
    size = f'{found[0]} style="max-width: {_PIXELS_PER_POINT * float(found[1]):.0f}px"' if found else ""
    inner = re.sub(r'(\sid="|url\(#|href="#)', rf"\g<1>{name}-", inner).replace("#000000", "currentColor")
    return (
        f'<svg class="plot" role="img" aria-label="{escaped(alternative)}" {size} '
        f'xmlns:xlink="http://www.w3.org/1999/xlink">{inner}'
    )


def plot(figure: "Figure", name: str, alternative: str) -> str:
    """Draw a matplotlib figure into a page; see `vector` and `inline`."""
    return inline(vector(figure, name), name, alternative)


def write_page(path: Path, title: str, body: str) -> None:
    """Write a whole page.

    Args:
        path: Destination.
        title: Heading of the page, as text.
        body: What follows the heading, as HTML.
    """
    template = Template(resources.files("dermseg").joinpath("page.html").read_text(encoding="utf-8"))
    write_text(path, template.substitute(mark=_MARK, title=escaped(title), body=body))


def refuse_foreign_page(path: Path) -> None:
    """Stop before a page is written over a file that is none of ours.

    Raises:
        ConfigError: There is such a file.
    """
    if not path.exists():
        return
    ours = False
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace") as file:
            ours = _MARK in file.read(_HEAD_CHARACTERS)
    if not ours:
        raise ConfigError(f"{path} was not written by dermseg; choose another folder with --out.")
