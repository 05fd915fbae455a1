"""`dermseg benchmark report`: tables, figures and a page from what a benchmark has stored."""

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib import rc_context
from rich.console import Console

from dermseg.benchmark.figures import (
    Drawing,
    calibration_drawing,
    cost_drawing,
    disagreement_drawing,
    scores_drawing,
)
from dermseg.benchmark.figures_images import Pictures, images_drawing, read_pictures
from dermseg.benchmark.figures_ranks import ranks_drawing, stability_drawing
from dermseg.benchmark.figures_training import (
    all_training_drawing,
    training_drawing,
    versions_drawing,
    versions_training_drawing,
)
from dermseg.benchmark.page import write_report_page
from dermseg.benchmark.report_analysis import Analysis, analyse
from dermseg.benchmark.report_results import read_results
from dermseg.benchmark.tables import Table, as_csv, as_latex, as_markdown
from dermseg.benchmark.tables_analysis import (
    comparison_table,
    cost_table,
    disputed_table,
    grid_table,
    metrics_table,
    worst_table,
)
from dermseg.benchmark.tables_paper import table_1, table_2
from dermseg.console import say
from dermseg.files import replacing, write_text
from dermseg.pages import refuse_foreign_page
from dermseg.paths import require_writable

PAGE = "index.html"
_POINTS = 8
"""Size of the letters in figures: that of captions in a paper."""
_WRITERS: dict[str, Callable[[Table], str]] = {"csv": as_csv, "md": as_markdown, "tex": as_latex}


def write_report(results: Path, out: Path, data: Path | None = None, without_pictures: bool = False) -> Path:
    """Write `out/index.html`, `out/tables/` and `out/figures/`; files of an earlier report are replaced.

    Args:
        results: Folder of the benchmark.
        out: Folder of the report.
        data: Where the images are, if not where they were.
        without_pictures: Leave out everything that shows an image, so that the report may be published.

    Returns:
        The path of the page.

    Raises:
        ConfigError: `out` holds a page that is none of ours.
        DataError: There is no benchmark, or `out` cannot be written.
    """
    page = out / PAGE
    refuse_foreign_page(page)
    analysis = analyse(read_results(results))
    require_writable(out)
    pictures = (
        Pictures(missing="Pictures were left out (--without-pictures).")
        if without_pictures
        else read_pictures(analysis.results, data)
    )
    tables = report_tables(analysis)
    for table in tables:
        for suffix, write in _WRITERS.items():
            write_text(out / "tables" / f"{table.name}.{suffix}", write(table))
    with rc_context({"font.size": _POINTS}):
        drawings = report_drawings(analysis, pictures)
        for drawing in drawings:
            _save(drawing, out / "figures")
    write_report_page(page, analysis, tables, drawings, pictures)
    _print(analysis, page)
    return page


def report_tables(analysis: Analysis) -> list[Table]:
    """Make every table that there is something to put into."""
    tables = [table_1(analysis), table_2(analysis), grid_table(analysis)]
    if analysis.scored:
        tables += [metrics_table(analysis), cost_table(analysis), worst_table(analysis)]
    if analysis.compared is not None:
        tables += [comparison_table(analysis.compared), disputed_table(analysis.compared)]
    return tables


def report_drawings(analysis: Analysis, pictures: Pictures) -> list[Drawing]:
    """Draw every figure that there is something to draw of."""
    if not analysis.scored:
        return []
    drawings: Sequence[Drawing | None] = [
        scores_drawing(analysis),
        training_drawing(analysis),
        all_training_drawing(analysis),
        versions_training_drawing(analysis),
        versions_drawing(analysis),
        cost_drawing(analysis),
        calibration_drawing(analysis),
        images_drawing(analysis, pictures),
    ]
    compared = analysis.compared
    if compared is not None:
        drawings = [
            *drawings,
            ranks_drawing(compared),
            stability_drawing(compared),
            disagreement_drawing(compared),
        ]
    return [drawing for drawing in drawings if drawing is not None]


def _save(drawing: Drawing, folder: Path) -> None:
    """Save a figure as SVG and PDF, with nothing in it that changes from run to run."""
    write_text(folder / f"{drawing.name}.svg", drawing.svg)
    with replacing(folder / f"{drawing.name}.pdf") as temporary:
        drawing.figure.savefig(temporary, metadata={"CreationDate": None})


def _print(analysis: Analysis, page: Path) -> None:
    console = Console()
    cells = analysis.results.cells
    done = sum(cell.scores is not None for cell in cells)
    lines = [f"{done:,} of {len(cells):,} cells have results"]
    lines += [
        f"  {cell.cell.name}: {cell.state}{': ' + cell.error if cell.error else ''}"
        for cell in cells
        if cell.state in ("failed", "damaged")
    ]
    for line in [*lines, f"Open {page.resolve()}"]:
        say(console, line)
