"""The facts of a model card, measured or collected from files."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from dermseg import __version__
from dermseg.card.calibrate import Unseen
from dermseg.card.changes import CORRUPTIONS, INVARIANCES
from dermseg.card.robustness import measure_effects
from dermseg.card.scores import by_label, by_size, read_rows, summarise
from dermseg.files import read_json, sha256_of
from dermseg.inference.predictor import Predictor
from dermseg.models.ensemble import members_of
from dermseg.models.weights import load_model, notes_of_members, read_notes

Labels: TypeAlias = Mapping[str, Mapping[str, str]]
"""By what they say, such as "diagnosis": the label of every image, by its identifier."""
VERSION = 5
"""Of the facts' format."""


def effects(unseen: Unseen) -> dict[str, Any]:
    """Measure robustness and invariance of a network, or of the networks of folds, as JSON values.

    Args:
        unseen: Weights, each with images with masks that they did not learn from.
    """
    networks = [(Predictor(load_model(path)), pairs) for path, pairs in unseen]
    cases = [(predictor, pair) for predictor, pairs in networks for pair in pairs]
    unchanged, changed = measure_effects(cases, {**INVARIANCES, **CORRUPTIONS})
    return {
        "images": len(cases),
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
    labels: Mapping[str, Labels],
) -> dict[str, Any]:
    """Collect everything that a model card shows.

    Args:
        weights: File that ships.
        name: Under which it ships.
        evaluations: Folders that `dermseg evaluate` wrote, by the title of their table.
        measured: What `effects` returned.
        latency: What `dermseg.card.latency.measure_latency` returned, as JSON values.
        labels: For some of these titles, labels of every image, by what they say, such as its diagnosis.
    """
    model = load_model(weights)
    members = notes_of_members(weights)
    notes = members[0]
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
        "model": {
            "name": model.name,
            "arguments": model.arguments,
            "size": model.preprocessing.size,
            "mirrors": model.mirrors,
            "members": len(members_of(model)),
        },
        "training": {
            "data": notes["data"],
            "split": {"name": split["name"], "checksum": split["checksum"]},
            "images": {side: len(split[side]) for side in ("train", "validation", "test")},
            "parts": _parts(notes),
            "seconds": sum(part["seconds"] for member in members for part in _parts(member)),
            "seeds": [member["arguments"]["seed"] for member in members],
        },
        "calibration": read_notes(weights)["calibration"],
        "scores": [_scores(title, folder, labels.get(title, {})) for title, folder in evaluations.items()],
        "effects": dict(measured),
        "latency": list(latency),
    }


def _parts(notes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Trainings that followed each other, of which each started from the weights of the one before."""
    part = {key: notes[key] for key in ("arguments", "epochs", "seconds", "environment")}
    # Notes that do not say which epoch was kept are of runs that keep the best.
    part["kept"] = notes["kept"] if "kept" in notes else notes["best"]
    return [*(_parts(notes["earlier"]) if "earlier" in notes else ()), part]


def _scores(title: str, folder: Path, labels: Labels) -> dict[str, Any]:
    rows = read_rows(folder / "per_image.csv")
    summary = read_json(folder / "summary.json") or {}
    return {
        "title": title,
        "command": summary.get("command"),
        **summarise(rows),
        "by_size": by_size(rows),
        "by_label": {kind: by_label(rows, of_image) for kind, of_image in labels.items()},
        "reliability": read_json(folder / "calibration.json"),
    }
