"""Predicting many images: files in, masks and overlays and one table out."""

import csv
import errno
import io
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.progress import track

from dermseg.console import say
from dermseg.data.images import read_image
from dermseg.data.pairs import Problem, listing, reason_of
from dermseg.devices import resolve_device
from dermseg.errors import DataError, DermsegError
from dermseg.files import write_text
from dermseg.inference.inputs import find_images, result_names
from dermseg.inference.outputs import (
    Measurements,
    OutputFiles,
    is_output,
    measure,
    output_files,
    write_outputs,
)
from dermseg.inference.predictor import Predictor
from dermseg.models.base import check_threshold
from dermseg.models.weights import load_model
from dermseg.no_memory import is_out_of_memory
from dermseg.paths import check_writable, printable, require_writable

COLUMNS = (
    "source",
    "width",
    "height",
    "area_pixels",
    "area_share",
    "box_left",
    "box_top",
    "box_width",
    "box_height",
    "components",
    "mean_probability",
    "expected_dice",
    "threshold",
    "model",
    "mask",
    "probability",
    "overlay",
)
"""Columns of predictions.csv: lengths in pixels of the image's own size, files relative to the table."""

_TABLE_SECONDS = 5.0
"""Between two writings of the table; of ten thousand images one takes a twentieth of a second."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PredictedImage:
    """One image that was predicted."""

    source: Path
    files: OutputFiles
    measurements: Measurements
    threshold: float
    expected_dice: float | None
    model: str


@dataclass(frozen=True, slots=True)
class PredictionReport:
    """What a run over many images did."""

    images: tuple[PredictedImage, ...]
    problems: tuple[Problem, ...]
    """Inputs without a result, each with the reason. If any, the command line exits with 1, if all, 2."""
    table: Path
    """predictions.csv."""


def predict(
    paths: str | Path | Sequence[str | Path],
    weights: str | Path,
    *,
    out: str | Path,
    threshold: float | None = None,
    device: str = "auto",
    tta: bool | None = None,
    quiet: bool = False,
) -> PredictionReport:
    """Outline the lesion in every image and write masks, probability maps, overlays and predictions.csv.

    An input that cannot be used is named with its reason and does not stop the others. Results of an earlier
    run for the same images are replaced, one whole file at a time; the table holds the images of this run,
    also when the run is interrupted, and all but those of its last seconds when it is killed.

    Args:
        paths: Image files, folders (searched with their sub-folders) or glob patterns, one or several; see
            `dermseg.inference.inputs.find_images`.
        weights: Weight file, as `dermseg.models.weights.load_model` takes it.
        out: Folder for the results.
        threshold: Probability from which a pixel counts as lesion; by default the network's own.
        device: `cpu`, `cuda`, `mps`, or `auto`.
        tta: Test-time augmentation, as `dermseg.inference.predictor.Predictor` does it; by default as the
            weights say.
        quiet: Print nothing and show no progress.

    Raises:
        DataError: No image was found, the output folder cannot be written, or its disk is full.
        CheckpointError: The weights cannot be loaded.
        ConfigError: The device is not there, or the threshold is not a probability.
    """
    # Mistakes that show at once come before the weights, which take a while to load.
    if threshold is not None:
        check_threshold(threshold)
    on = resolve_device(device)
    folder = Path(out)
    table = folder / "predictions.csv"
    check_writable(folder)
    _require_own(table)
    inputs = find_images([paths] if isinstance(paths, (str, Path)) else paths)
    problems = inputs.problems
    predictor = Predictor(load_model(weights), on, threshold, tta=tta)
    require_writable(folder)
    done: list[PredictedImage] = []
    console = Console(stderr=True, quiet=quiet)
    _print_passed_over(inputs.mask_folders, console)
    named = list(zip(inputs.images, result_names(inputs.images), strict=True))
    # Around the table too, which a full disk does not take either.
    with _full_disk_named(folder, done, len(named)):
        written = monotonic()
        try:
            for source, name in track(named, "Predicting", console=console):
                found = _predicted_or_not(predictor, source, output_files(folder, name))
                if isinstance(found, Problem):
                    problems.append(found)
                else:
                    done.append(found)
                if monotonic() - written >= _TABLE_SECONDS:
                    # A run that is killed leaves no time for the last one.
                    write_text(table, _csv(done, folder))
                    written = monotonic()
        finally:
            # Also after Ctrl-C: the table then lists what is finished.
            write_text(table, _csv(done, folder))
    report = PredictionReport(tuple(done), tuple(problems), table)
    _print(report, console)
    return report


def _require_own(table: Path) -> None:
    """Refuse to replace a table that dermseg did not write, and find out before the work.

    Raises:
        DataError: There is something else under that name.
    """
    if not os.path.lexists(table):
        return
    own = False
    if table.is_file():  # a pipe would be waited for
        with suppress(OSError, ValueError), table.open(encoding="utf-8") as file:
            own = file.readline(1000).startswith("source,width,height,")
    if not own:
        raise DataError(
            f"{printable(table)} would be replaced, but dermseg did not write it; "
            "choose another output folder with --out."
        )


def _predicted_or_not(predictor: Predictor, source: Path, files: OutputFiles) -> PredictedImage | Problem:
    try:
        return _predict_one(predictor, source, files)
    except Exception as error:
        if _is_full(error):
            raise
        _log.debug("%s failed", source, exc_info=True)
        return Problem(source, _reason(error, source))


def _predict_one(predictor: Predictor, source: Path, files: OutputFiles) -> PredictedImage:
    for path in (files.mask, files.probability, files.overlay):
        if path.exists() and not is_output(path):
            raise DataError(
                f"{source} would replace {path}, which dermseg did not write; choose another output folder."
            )
    image = read_image(source)
    segmentation = predictor.predict(image, printable(source))
    write_outputs(segmentation, image, files)
    return PredictedImage(
        source,
        files,
        measure(segmentation),
        segmentation.threshold,
        segmentation.expected_dice,
        segmentation.model,
    )


@contextmanager
def _full_disk_named(folder: Path, done: Sequence[PredictedImage], total: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if not _is_full(error):
            raise
        raise DataError(
            f"The disk of {printable(folder)} is full; {len(done):,} of {total:,} images are done. "
            "Free space, or choose a folder on another disk with --out."
        ) from error


def _is_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno == errno.ENOSPC


def _reason(error: Exception, source: Path) -> str:
    if isinstance(error, DataError):
        return reason_of(error, source)
    if is_out_of_memory(error):
        return "needs more memory than there is; make the image smaller"
    if isinstance(error, (DermsegError, OSError)):
        return f"failed: {error}"
    return f"failed: {type(error).__name__}: {error}"


def _csv(images: Sequence[PredictedImage], folder: Path) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(image, folder) for image in images)
    return text.getvalue()


def _row(image: PredictedImage, folder: Path) -> dict[str, str | int | float | None]:
    found, box = image.measurements, image.measurements.box
    return {
        "source": printable(image.source),
        "width": found.width,
        "height": found.height,
        "area_pixels": found.area,
        "area_share": round(found.area_share, 6),
        "box_left": box.left if box else None,
        "box_top": box.top if box else None,
        "box_width": box.width if box else None,
        "box_height": box.height if box else None,
        "components": found.components,
        "mean_probability": None if found.mean_probability is None else round(found.mean_probability, 6),
        "expected_dice": None if image.expected_dice is None else round(image.expected_dice, 4),
        "threshold": image.threshold,
        "model": image.model,
        "mask": printable(os.path.relpath(image.files.mask, folder)),
        "probability": printable(os.path.relpath(image.files.probability, folder)),
        "overlay": printable(os.path.relpath(image.files.overlay, folder)),
    }


def _print_passed_over(folders: Sequence[Path], console: Console) -> None:
    if folders:
        names = listing([str(folder) for folder in folders], 3)
        say(console, f"Passed over, as masks of a data set: {names}")


def _print(report: PredictionReport, console: Console) -> None:
    total = len(report.images) + len(report.problems)
    say(console, f"Predicted {len(report.images):,} of {total:,} inputs; the table is {report.table}")
    for problem in report.problems:
        say(console, f"  {problem.path} {problem.reason}")
