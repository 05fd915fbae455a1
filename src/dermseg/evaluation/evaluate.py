"""Evaluating a network, or a folder of predicted masks, on a data set."""

import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from dermseg import __version__
from dermseg.data.groups import find_groups, published_groups
from dermseg.data.pairs import Collection, Pair, Problem, identifier_of, reason_of
from dermseg.data.readers import MASK_ENDINGS, read_collection
from dermseg.data.splits import SIDES, Split, load_split
from dermseg.errors import ConfigError, DataError
from dermseg.evaluation.calibration import Calibration
from dermseg.evaluation.leak_check import check_leaks
from dermseg.evaluation.report import print_report, refuse_other_report, write_report
from dermseg.evaluation.results import Evaluation, ScoredImage, lesions_of, mean_intervals
from dermseg.evaluation.scoring import score_pair
from dermseg.evaluation.sources import FolderSource, MaskSource, NetworkSource
from dermseg.paths import check_writable, require_writable


def evaluate(
    data: str | Path,
    *,
    weights: str | Path | None = None,
    predictions: str | Path | None = None,
    layout: str = "auto",
    masks: str | Path | None = None,
    split: str | Path | None = None,
    part: str = "test",
    out: str | Path = "evaluation",
    device: str = "auto",
    groups: str | Path | None = None,
    allow_leak: bool = False,
    tta: bool | None = None,
    quiet: bool = False,
) -> Evaluation:
    """Score predictions against masks, per image at native resolution and pooled over all pixels.

    A pair that cannot be scored is named with its reason and does not stop the others. Writes
    per_image.csv, summary.json, worst.png and gallery.png, of a network also calibration.json and
    reliability.png, and prints the table.

    Args:
        data: Folder of a data set with masks.
        weights: Weight file of a network that predicts every image; this, or `predictions`.
        predictions: Folder of predicted masks at native size, matched by identifier; this, or `weights`.
        layout: How the data folder is laid out; see `dermseg.data.readers.read_collection`.
        masks: Folder of the masks, where they are not beside the images.
        split: A split file or the name of a frozen split; without it every pair is scored.
        part: Which side of the split to score: test, validation or train.
        out: Folder for the results. Those of the same evaluation are replaced.
        device: `cpu`, `cuda`, `mps`, or `auto`.
        groups: A table that says which images show one lesion or one patient, which the leak guard and the
            intervals respect; tables in the data folder or beside it are found without it.
        allow_leak: Score images that the network learned from, or near-duplicates of them, and say so in the
            summary.
        tta: Test-time augmentation of a network, as `dermseg.inference.predictor.Predictor` does it; by
            default as the weights say.
        quiet: Print nothing and show no progress.

    Raises:
        ConfigError: Not exactly one of `weights` and `predictions` was given, `part` is no side, or `out`
            holds the results of something else.
        DataError: The data, split or predictions cannot be used, nothing could be scored, or the network
            learned from these images: by name, by picture, or by lesion or patient.
        CheckpointError: The weights cannot be loaded.
    """
    if part not in SIDES:
        raise ConfigError(f"part={part!r} is no side of a split; choose {', '.join(SIDES)}.")
    load = _source(weights, predictions, device, tta)
    # Mistakes that show at once come before the weights, which take a while to load.
    check_writable(Path(out))
    chosen = None if split is None else load_split(split)
    collection = read_collection(Path(data), layout, None if masks is None else Path(masks))
    source = load()
    pairs, problems = _select(collection, chosen, part, Path(data))
    part = part if chosen else "test"
    progress = Console(stderr=True, quiet=quiet)
    learned = source.learned_from if isinstance(source, NetworkSource) else None
    everyone = [*(pair.identifier for pair in pairs), *(learned.names(part) if learned else ())]
    tables = find_groups(Path(data), everyone, None if groups is None else Path(groups))
    provenance = _origin(collection, data, masks, chosen, part)
    if isinstance(source, NetworkSource):
        provenance |= check_leaks(
            learned, pairs, tables, part=part, split=chosen, allow_leak=allow_leak, progress=progress
        )
    provenance |= source.provenance
    refuse_other_report(Path(out), provenance)
    require_writable(Path(out))
    images, calibration = _score_all(pairs, source, problems, progress)
    if not images:
        raise DataError(f"None of the {len(pairs):,} pairs of {data} could be scored. {_first(problems)}")
    lesions = lesions_of(images, [*published_groups(everyone), *tables])
    evaluation = Evaluation(
        tuple(images),
        tuple(problems),
        provenance,
        Path(out),
        mean_intervals(images, lesions),
        calibration,
        lesions,
    )
    write_report(evaluation, source)
    print_report(evaluation, Console(quiet=quiet))
    return evaluation


def _origin(
    collection: Collection, data: str | Path, masks: str | Path | None, split: Split | None, part: str
) -> dict[str, Any]:
    """Say for the summary which images were scored, and by which command."""
    return {
        "dermseg": __version__,
        "command": shlex.join(sys.argv),
        "data": {"name": collection.name, "folder": str(data), "masks": masks and str(masks)},
        "split": split and {"name": split.name, "part": part, "sha256": split.checksum, **split.reservations},
    }


def _source(
    weights: str | Path | None, predictions: str | Path | None, device: str, tta: bool | None
) -> Callable[[], MaskSource]:
    """Choose what gives the masks; what is returned loads it."""
    if weights is not None and predictions is None:
        return partial(NetworkSource, Path(weights), device, tta=tta)
    if predictions is not None and weights is None:
        if tta:
            raise ConfigError("tta mirrors what a network sees; of masks, leave it out.")
        return partial(FolderSource, Path(predictions))
    raise ConfigError("Give either weights (a network to evaluate) or predictions (a folder of masks).")


def _select(
    collection: Collection, split: Split | None, part: str, data: Path
) -> tuple[tuple[Pair, ...], list[Problem]]:
    """Choose the pairs to score; what is missing of a split is a problem, not a smaller split."""
    if split is None:
        return collection.pairs, list(collection.problems)
    wanted: tuple[str, ...] = getattr(split, part)
    if not wanted:
        raise DataError(
            f"Split {split.name} has no {part} images; choose another side with --part. {split.warning}"
        )
    known = set(collection.identifiers)
    pairs = collection.select(identifier for identifier in sorted(wanted) if identifier in known)
    if not pairs:
        raise DataError(
            f"{data} has none of the {len(wanted):,} {part} images of split {split.name}; "
            "is this the data set the split was made for?"
        )
    missing = set(wanted) - known
    named = [
        problem for problem in collection.problems if identifier_of(problem.path, MASK_ENDINGS) in missing
    ]
    unnamed = missing - {identifier_of(problem.path, MASK_ENDINGS) for problem in named}
    reason = f"is in split {split.name} but not in the data"
    return pairs, named + [Problem(Path(identifier), reason) for identifier in sorted(unnamed)]


def _score_all(
    pairs: Sequence[Pair], source: MaskSource, problems: list[Problem], progress: Console
) -> tuple[list[ScoredImage], Calibration | None]:
    """Score pairs one after the other; those that cannot be scored become problems."""
    images: list[ScoredImage] = []
    calibration: Calibration | None = None
    for pair in track(pairs, "Scoring", console=progress):
        try:
            image, counts = score_pair(pair, source.predict(pair))
        except DataError as error:
            problems.append(Problem(pair.image, reason_of(error, pair.image)))
            continue
        images.append(image)
        if counts is not None:
            calibration = counts if calibration is None else calibration + counts
    return images, calibration


def _first(problems: Sequence[Problem]) -> str:
    return f"The first: {problems[0].path} {problems[0].reason}." if problems else ""
