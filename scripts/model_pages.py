"""Write what is said about every network: docs/models/ and the costs that `dermseg models` prints.

Run `python scripts/model_pages.py` after a network was added or changed, or results were recorded. A test
holds the files against what this would write.
"""

import json
from collections.abc import Iterator
from importlib.resources import files
from itertools import takewhile
from pathlib import Path
from typing import Any

from dermseg.costs.network import StageCosts
from dermseg.costs.table import SIZE, CostRow, stored_costs, write_costs
from dermseg.files import write_text
from dermseg.models.registry import list_models
from dermseg.models.summary import Summary, shape_of, summarize
from dermseg.models.table import in_bytes, in_units, multiply_adds
from dermseg.models.table import parameters as parameters_of
from dermseg.training.configuration import recipes

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "models"
COSTS = ROOT / "src" / "dermseg" / "costs" / "systems.csv"
RESULTS = ROOT / "results"
LARGE = 0.2
"""Share of the multiply-adds from which a part is drawn as the parts inside it."""
NOTE = "<!-- Written by `python scripts/model_pages.py`; do not edit. -->"


def main() -> None:
    """Write all files."""
    summaries = [summarize(name) for name in list_models()]
    write_costs([cost_row(summary) for summary in summaries], COSTS)
    stored_costs.cache_clear()
    for summary in summaries:
        write_text(PAGES / f"{summary.name}.md", page(summary))
    write_text(PAGES / "README.md", index(summaries))


def cost_row(summary: Summary) -> CostRow:
    """Return the network's line of the table of costs."""
    costs = summary.costs
    return CostRow(
        summary.name,
        costs.parameters,
        costs.passes,
        costs.multiply_adds,
        costs.scan,
        costs.printed,
        costs.peak_bytes,
    )


def index(summaries: list[Summary]) -> str:
    """Return the page that lists all networks."""
    lines = [
        "# Networks",
        "",
        NOTE,
        "",
        "In its released form each equals what its authors released, less the parts that never touch the",
        "output; a test holds that.",
        "Parameters are those of ours, and in brackets those of the release where they differ. Multiply-adds",
        f"are for one image of {SIZE} px, scans included.",
        "",
        "| network | | year | family | parameters | multiply-adds | licence of the original code |",
        "|---|---|---|---|---|---|---|",
    ]
    for summary in summaries:
        info, row = summary.info, cost_row(summary)
        work = multiply_adds(row.multiply_adds, row.passes)
        lines.append(
            f"| [`{summary.name}`]({summary.name}.md) | [{info.title}]({info.paper}) | {info.year} "
            f"| {info.family} | {parameters_of(info, row)} | {work} | {info.licence} |"
        )
    return "\n".join(lines) + "\n"


def page(summary: Summary) -> str:
    """Return the page of a network."""
    sections = [
        [f"# {summary.info.title} (`{summary.name}`)", "", NOTE],
        *([paragraph.strip()] for paragraph in summary.description),
        list(_reference(summary)),
        *_departures(summary),
        ["## Facts", "", *_facts(summary)],
        ["## Stages", "", *_diagram(summary), "", *_stages(summary)],
        ["## Training", "", *_training(summary.name)],
        ["## Figures", "", *_figures(summary.name)],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _reference(summary: Summary) -> Iterator[str]:
    info = summary.info
    yield f"- Paper: <{info.paper}> ({info.year})"
    yield f"- Original code: <https://github.com/{info.code}>, licence: {info.licence}; ours is written anew"
    yield f'- `dermseg.create_model("{summary.name}")`, `dermseg train --model {summary.name}`'


def _departures(summary: Summary) -> list[list[str]]:
    if not summary.departures:
        return []
    return [["## Departures", "", summary.departures[0]], *([each] for each in summary.departures[1:])]


def _facts(summary: Summary) -> Iterator[str]:
    prepared = summary.preprocessing
    mean, std = (", ".join(f"{value:g}" for value in values) for values in (prepared.mean, prepared.std))
    rows = [
        *summary.totals,
        ("images are standardised with", f"mean {mean}; standard deviation {std}"),
        ("sides are padded to multiples of", f"{summary.stride} px"),
        *summary.promises,
    ]
    yield "| | |"
    yield "|---|---|"
    yield from (f"| {label} | {value} |" for label, value in rows)


def _diagram(summary: Summary) -> Iterator[str]:
    """Draw the network's parts in the order of their first calls, of large parts the parts inside."""
    yield "```mermaid"
    yield "flowchart TD"
    yield f'  s0(["image<br>3 x {summary.costs.size} x {summary.costs.size}"])'
    for number, stage in enumerate(_drawn(summary), start=1):
        size = f"{in_units(stage.parameters)} parameters, {in_units(stage.multiply_adds)} multiply-adds"
        label = "<br>".join(line for line in (stage.name, shape_of(stage), size) if line)
        yield f'  s{number - 1} --> s{number}["{label}"]'
    yield "```"
    yield ""
    yield "Parts are in the order of their first calls; skips are not drawn."


def _drawn(summary: Summary) -> Iterator[StageCosts]:
    stages = summary.costs.stages
    for number, stage in enumerate(stages):
        inside = list(takewhile(lambda other: other.depth > 1, stages[number + 1 :]))
        if stage.depth == 1:
            share = stage.multiply_adds / summary.costs.multiply_adds
            yield from inside if inside and share > LARGE else [stage]


def _stages(summary: Summary) -> Iterator[str]:
    yield "| stage | output | parameters | multiply-adds | activations alive |"
    yield "|---|---|---:|---:|---:|"
    for stage in summary.costs.stages:
        yield _stage(stage)


def _stage(stage: StageCosts) -> str:
    indent = "&emsp;" * (stage.depth - 1)
    numbers = f"{in_units(stage.parameters)} | {in_units(stage.multiply_adds)} | {in_bytes(stage.peak_bytes)}"
    return f"| {indent}`{stage.name}` | {shape_of(stage)} | {numbers} |"


def _training(name: str) -> Iterator[str]:
    if name not in recipes():
        yield "How its authors trained it is not known to us; `--recipe common` is the one protocol for all."
        return
    text = files("dermseg.training").joinpath("recipes", f"{name}.yaml").read_text(encoding="utf-8")
    yield f"`dermseg train --model {name} --recipe own` trains as its authors did, as far as that is stated:"
    yield ""
    yield "```yaml"
    yield text.rstrip("\n")
    yield "```"


def _figures(name: str) -> Iterator[str]:
    found = sorted(path for path in RESULTS.glob("*/*/summary.json") if _read(path)["model"]["name"] == name)
    reduced = RESULTS / "benchmark-reduced"
    if (reduced / "cells" / name).is_dir():
        yield f"Narrowed, beside others: [the reduced comparison](../../results/{reduced.name}/README.md)."
        yield ""
    elif not found:
        yield "Not measured yet."
    if not found:
        return
    yield "| run | form | images | per-image Dice (95 % interval) | per-image IoU | pooled Dice |"
    yield "|---|---|---|---|---|---|"
    for path in found:
        yield _figure(path)


def _figure(path: Path) -> str:
    run, scores = path.parents[1], _read(path)
    # Of an ensemble, every member has a folder; a training may have had parts, each with one.
    members = sorted(run.glob("seed-*")) or [run]
    trained = [_read(file) for file in sorted(members[0].glob("part-*/training.json"))]
    trained = trained or [_read(members[0] / "training.json")]
    parts = ", then ".join(f"{part['arguments']['size']} px, {part['epochs']} epochs" for part in trained)
    several = f"{len(members)} networks of " if len(members) > 1 else ""
    form = f"{several}{in_units(trained[-1]['parameters'])} parameters, {parts}"
    dice, iou = (scores["per_image_mean"][metric] for metric in ("dice", "iou"))
    interval = f"{dice['mean']:.3f} ({dice['low']:.3f} to {dice['high']:.3f})"
    images = f"{scores['images']} of {path.parent.name}"
    link = f"[{run.name}](../../results/{run.name})"
    return f"| {link} | {form} | {images} | {interval} | {iou['mean']:.3f} | {_pooled(scores):.3f} |"


def _pooled(scores: dict[str, Any]) -> float:
    pooled: float = scores["pooled"]["dice"]
    return pooled


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


if __name__ == "__main__":
    main()
