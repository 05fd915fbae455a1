"""The facts of a model card, measured or collected from files."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dermseg import __version__
from dermseg.card.changes import CORRUPTIONS, INVARIANCES
from dermseg.card.robustness import measure_effects
from dermseg.card.scores import by_label, by_size, read_rows, summarise
from dermseg.data.pairs import Pair
from dermseg.files import read_json, sha256_of
from dermseg.inference.predictor import Predictor
from dermseg.models.weights import load_model, read_notes

VERSION = 1
"""Of the facts' format."""


def effects(weights: Path, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Measure robustness and invariance of a network, as JSON values.

    Args:
        weights: Its file.
        pairs: Images with masks that it did not learn from.
    """
    predictor = Predictor(load_model(weights))
    unchanged, changed = measure_effects(predictor, pairs, {**INVARIANCES, **CORRUPTIONS})
    return {
        "images": len(pairs),
        "dice": unchanged,
        "invariance": [asdict(effect) for effect in changed if effect.change in INVARIANCES],
        "robustness": [asdict(effect) for effect in changed if effect.change in CORRUPTIONS],
    }


def card_facts(
    weights: Path,
    name: str,
    evaluations: Mapping[str, Path],
    measured: Mapping[str, Any],
    latency: Sequence[Mapping[str, Any]],
    labels: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """Collect everything that a model card shows.

    Args:
        weights: File that ships.
        name: Under which it ships.
        evaluations: Folders that `dermseg evaluate` wrote, by the title of their table.
        measured: What `effects` returned.
        latency: What `dermseg.card.latency.measure_latency` returned, as JSON values.
        labels: For some of these titles, a label of every image, such as its diagnosis.
    """
    model = load_model(weights)
    notes = read_notes(weights)
    split = notes["split"]
    return {
        "version": VERSION,
        "name": name,
        "dermseg": __version__,
        "made": datetime.now(UTC).date().isoformat(),
        "file": {
            "sha256": sha256_of(weights),
            "bytes": weights.stat().st_size,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
        },
        "model": {"name": model.name, "arguments": model.arguments, "size": model.preprocessing.size},
        "training": {
            "data": notes["data"],
            "split": {"name": split["name"], "checksum": split["checksum"]},
            "images": {side: len(split[side]) for side in ("train", "validation", "test")},
            "parts": _parts(notes),
        },
        "calibration": notes["calibration"],
        "scores": [_scores(title, folder, labels.get(title)) for title, folder in evaluations.items()],
        "effects": dict(measured),
        "latency": list(latency),
    }


def _parts(notes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Trainings that followed each other, of which each started from the weights of the one before."""
    part = {key: notes[key] for key in ("arguments", "epochs", "best", "seconds", "environment")}
    return [*(_parts(notes["earlier"]) if "earlier" in notes else ()), part]


def _scores(title: str, folder: Path, labels: Mapping[str, str] | None) -> dict[str, Any]:
    rows = read_rows(folder / "per_image.csv")
    summary = read_json(folder / "summary.json") or {}
    return {
        "title": title,
        "command": summary.get("command"),
        **summarise(rows),
        "by_size": by_size(rows),
        "by_label": by_label(rows, lambda name: labels.get(name, "unknown")) if labels else [],
        "reliability": read_json(folder / "calibration.json"),
    }
