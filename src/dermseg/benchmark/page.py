"""The page of a report: one file with everything in it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from dermseg import __version__
from dermseg.benchmark.figures import Drawing
from dermseg.benchmark.figures_images import Pictures
from dermseg.benchmark.report_analysis import Analysis
from dermseg.benchmark.tables import Table, as_html
from dermseg.benchmark.tables_analysis import WORST
from dermseg.benchmark.tables_paper import about_the_images
from dermseg.pages import escaped, gallery, inline, thumbnail, write_page
from dermseg.paths import printable


def write_report_page(
    path: Path,
    analysis: Analysis,
    tables: Sequence[Table],
    drawings: Sequence[Drawing],
    pictures: Pictures,
) -> None:
    """Write the page.

    Args:
        path: Destination.
        analysis: Of the benchmark.
        tables: In their order.
        drawings: In any order; the page knows where each belongs.
        pictures: For the worst images of every system.
    """
    written = {table.name: _table(table) for table in tables}
    written |= {drawing.name: _drawing(drawing) for drawing in drawings}
    written["pictures"] = _worst(analysis, pictures)
    parts = [_lead(analysis), *(written[name] for name in _ORDER if name in written), _provenance(analysis)]
    write_page(path, f"Benchmark: {analysis.results.plan.name}", "\n".join(parts))


_ORDER = (
    *("table-1", "scores", "comparison", "ranks", "stability"),
    *("table-2", "versions", "training", "versions-training", "training-all"),
    *(
        "cost",
        "costs",
        "metrics",
        "calibration",
        "disagreement",
        "disputed",
        "images",
        "worst",
        "pictures",
        "grid",
    ),
)
"""Names of tables and figures from top to bottom."""


def _lead(analysis: Analysis) -> str:
    plan = analysis.results.plan
    cells = analysis.results.cells
    done = sum(cell.scores is not None for cell in cells)
    facts = [
        (f"{plan.data.images:,}", "images"),
        (str(len(plan.systems)), "systems"),
        (str(plan.folds), "folds"),
        (str(plan.seeds), "seeds"),
        (f"{done:,} of {len(cells):,}", "cells done"),
    ]
    items = (f"<li><b>{escaped(number)}</b>{escaped(name)}</li>" for number, name in facts)
    recipe = (
        "one recipe for all systems" if plan.recipe == "common" else "each system trained as its authors did"
    )
    return (
        f'<p class="lead">{escaped(plan.data.name)}: {recipe}. Every fold has disjoint training, validation '
        "and test images; the epoch is chosen on validation, and every number below is of test images at "
        "their native resolution, per image or pooled over pixels as it says. "
        f"{escaped(about_the_images(analysis.results))}</p>"
        f'<ul class="facts">{"".join(items)}</ul>' + _warnings(analysis)
    )


def _warnings(analysis: Analysis) -> str:
    notes = []
    if analysis.results.plan.allow_leak:
        notes.append("Near-duplicates may stand on both sides of a fold (--allow-leak): scores are too high.")
    if not analysis.scored:
        notes.append("No cell has finished yet: there is nothing to show.")
    elif analysis.compared is None:
        notes.append("Fewer than two systems have finished the same folds: nothing can be compared.")
    return "".join(f'<p class="note">{escaped(note)}</p>' for note in notes)


def _table(table: Table) -> str:
    return f"<h2>{escaped(table.title)}</h2>\n{as_html(table)}"


def _drawing(drawing: Drawing) -> str:
    return (
        f"<h2>{escaped(drawing.title)}</h2>\n{inline(drawing.svg, drawing.name, drawing.title)}\n"
        f'<p class="small">{escaped(drawing.caption)}</p>'
    )


def _worst(analysis: Analysis, pictures: Pictures) -> str:
    """Show the worst images of every system; say why where there are none."""
    if pictures.missing:
        return f'<p class="note">{escaped(pictures.missing)}</p>'
    parts = []
    for system in analysis.ranked():
        drawn = ((name, scores["dice"], pictures.draw(name, system)) for name, scores in system.worst(WORST))
        figures = [
            thumbnail(picture, f"{name}: Dice {dice:.3f}")
            for name, dice, picture in drawn
            if picture is not None
        ]
        if figures:
            parts.append(f"<h3>{escaped(system.label)}</h3>{gallery(figures)}")
    if not parts:
        return '<p class="note">No cell has kept the masks of its worst images, so they cannot be shown.</p>'
    return "\n".join(parts)


def _provenance(analysis: Analysis) -> str:
    plan = analysis.results.plan
    settings = ", ".join(f"{name} {value}" for name, value in plan.settings.items()) or "none"
    lines = [
        f"Command: {plan.command}",
        f"Begun: {plan.created}",
        f"Recipe: {plan.recipe}; settings over it: {settings}",
        f"Identifiers (SHA-256): {plan.data.sha256}",
        f"Machines: {', '.join(_machines(analysis)) or 'not recorded'}",
        f"Report by dermseg {__version__}",
    ]
    return f"<h2>Where these numbers come from</h2><pre>{escaped(printable(chr(10).join(lines)))}</pre>"


def _machines(analysis: Analysis) -> Iterable[str]:
    """Describe the machines that cells ran on, each once."""
    found: dict[str, None] = {}
    for cell in analysis.results.cells:
        environment = (cell.facts or {}).get("environment")
        if isinstance(environment, dict):
            described = (environment.get(name) for name in ("gpu", "processor", "system"))
            found[" / ".join(str(part) for part in described if part)] = None
    return [machine for machine in found if machine]
