"""The files and the printed table of an evaluation."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dermseg.console import say
from dermseg.data.images import read_image, read_mask
from dermseg.errors import ConfigError, DataError
from dermseg.evaluation.calibration import BINS, draw_reliability
from dermseg.evaluation.leak_check import leak_lines
from dermseg.evaluation.metrics import METRICS, ImageScores
from dermseg.evaluation.results import Evaluation, ScoredImage
from dermseg.evaluation.sources import MaskSource
from dermseg.figures import PREDICTION_COLOUR, TARGET_COLOUR, Tile, contact_sheet, outlined_thumbnail
from dermseg.files import read_json, write_json, write_text
from dermseg.paths import printable

_SHOWN = 12
"""Images on the sheet of the worst ones."""
_LISTED = 5
"""Worst images that are printed."""
_PROBLEMS = 20
"""Problems that are printed."""


def refuse_other_report(out: Path, provenance: Mapping[str, Any]) -> None:
    """Stop before an evaluation replaces the results of something else.

    Args:
        out: Folder of the evaluation to come.
        provenance: What it scores.

    Raises:
        ConfigError: The folder has a summary.json of other data, another split, network or predictions.
    """
    path = out / "summary.json"
    if not path.is_file():
        return
    earlier = read_json(path)
    compared = ("data", "split", "model", "predictions")
    if earlier is None:
        raise ConfigError(f"{path} is damaged or none of ours; choose another folder with --out.")
    if any(earlier.get(key) != provenance.get(key) for key in compared):
        raise ConfigError(
            f"{out} holds the results of something else (see its summary.json); "
            "choose another folder with --out."
        )


def write_report(evaluation: Evaluation, source: MaskSource) -> None:
    """Write the tables and pictures of an evaluation to its folder.

    Args:
        evaluation: What was found.
        source: Gives the masks of the few images in the pictures once more; keeping all would fill memory.
    """
    write_text(evaluation.out / "per_image.csv", per_image_csv(evaluation.images))
    if evaluation.calibration is not None:
        write_json(evaluation.out / "calibration.json", evaluation.calibration.to_json())
        draw_reliability(evaluation.calibration, evaluation.out / "reliability.png")
    write_json(evaluation.out / "summary.json", summary(evaluation))
    ranked = evaluation.ranked()
    _sheet(evaluation, ranked[:_SHOWN], source, "worst.png", "The worst by Dice")
    _sheet(evaluation, _gallery(ranked), source, "gallery.png", "Worst, middle and best by Dice")


def per_image_csv(images: Sequence[ScoredImage]) -> str:
    """Write one line per image: identifier, size, every score, and the pixel counts to pool them again."""
    text = io.StringIO()
    names = [field.name for field in fields(ImageScores)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["identifier", "height", "width", *names])
    for image in images:
        scores = [getattr(image.scores, name) for name in names]
        writer.writerow([printable(image.pair.identifier), image.height, image.width, *scores])
    return text.getvalue()


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """Everything a table of results needs, and where it comes from, as JSON values."""
    return {
        **evaluation.provenance,
        "resolution": "native: every image at the size of its own mask",
        "images": len(evaluation.images),
        "intervals_over": evaluation.drawn,
        "per_image_mean": {name: asdict(interval) for name, interval in evaluation.means.items()},
        "pooled": asdict(evaluation.pooled),
        "share_below_iou_0.65": evaluation.means["failure"].mean,
        "expected_calibration_error": evaluation.calibration and evaluation.calibration.error,
        "worst": [printable(image.pair.identifier) for image in evaluation.ranked()[:_SHOWN]],
        "problems": [
            {"path": printable(problem.path), "reason": printable(problem.reason)}
            for problem in evaluation.problems
        ],
    }


def print_report(evaluation: Evaluation, console: Console) -> None:
    """Print the table of an evaluation, its worst images and its problems."""
    console.print(_table(evaluation))
    whole = ", each with all its images" if evaluation.lesions else ""
    console.print(
        f"Intervals are bootstrapped over {evaluation.drawn}{whole}. Scores are at native resolution."
    )
    if evaluation.calibration is not None:
        error = evaluation.calibration.error
        console.print(f"Expected calibration error, pooled pixels, {BINS} bins: {error:.4f}")
    for line in leak_lines(evaluation.provenance):
        say(console, line, style="bold red")
    worst = ", ".join(
        f"{image.pair.identifier} ({image.scores.dice:.3f})" for image in evaluation.ranked()[:_LISTED]
    )
    say(console, f"Worst by Dice: {worst}")
    if evaluation.problems:
        console.print(f"{len(evaluation.problems):,} not scored:", style="bold red")
    for problem in evaluation.problems[:_PROBLEMS]:
        say(console, f"  {problem.path} {problem.reason}")
    if len(evaluation.problems) > _PROBLEMS:
        console.print(f"  and {len(evaluation.problems) - _PROBLEMS:,} more, listed in summary.json")
    say(console, f"Written to {evaluation.out}")


def _table(evaluation: Evaluation) -> Table:
    name = evaluation.provenance["data"]["name"]
    table = Table(title=Text(printable(f"{name}: {len(evaluation.images):,} images")))
    table.add_column("metric", no_wrap=True)
    table.add_column("per-image mean", justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_column("pooled pixels", justify="right")
    pooled = asdict(evaluation.pooled)
    for name, metric in METRICS.items():
        interval = evaluation.means[name]
        digits = 1 if metric.pixels else 4
        ends = (
            "-"
            if interval.low is None or interval.high is None
            else f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"
        )
        together = f"{pooled[name]:.4f}" if name in pooled else ""
        table.add_row(metric.label, f"{interval.mean:.{digits}f}", ends, together)
    return table


def _gallery(ranked: Sequence[ScoredImage]) -> Sequence[ScoredImage]:
    """Choose four images each from the bottom, the middle and the top, without repetition."""
    if len(ranked) <= 12:
        return ranked
    middle = len(ranked) // 2
    return [*ranked[:4], *ranked[middle - 2 : middle + 2], *ranked[-4:]]


def _tile(image: ScoredImage, source: MaskSource) -> Tile:
    title = f"{image.pair.identifier}\nDice {image.scores.dice:.3f}, IoU {image.scores.iou:.3f}"
    mask = read_mask(image.pair.mask)
    try:
        picture = read_image(image.pair.image)
    except DataError:
        # Predictions from files were scored without it.
        picture = np.full((*mask.shape, 3), 128, np.uint8)
        title += "\n(the image cannot be read)"
    outlines = [(mask, TARGET_COLOUR), (source.predict(image.pair).mask, PREDICTION_COLOUR)]
    return Tile(outlined_thumbnail(picture, outlines), title)


def _sheet(
    evaluation: Evaluation, images: Sequence[ScoredImage], source: MaskSource, name: str, title: str
) -> None:
    tiles = [_tile(image, source) for image in images]
    legend = [("target", TARGET_COLOUR), ("prediction", PREDICTION_COLOUR)]
    contact_sheet(tiles, evaluation.out / name, title=title, legend=legend)
