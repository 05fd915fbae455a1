"""From the weight files of several trainings to one file: an ensemble."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dermseg.models.ensemble import Ensemble
from dermseg.models.weights import load_model, read_notes, save_model

_IMAGES = ("split", "fingerprints")
"""Notes that say which images shaped a network; kept once where members share them, for they are long."""


def join(weights: Sequence[Path], out: Path, *, half: bool = False) -> Ensemble:
    """Write one weight file whose network is the mean of several.

    Args:
        weights: At least two files that `save_model` wrote, of one form and preprocessing.
        out: Destination, ending in `.safetensors`. Its notes are those of the first file, with those of the
            others under `members`.
        half: Keep numbers in half precision.

    Returns:
        The network that was written, in evaluation mode.

    Raises:
        ConfigError: The networks differ in form or preprocessing, or the path ends otherwise.
        CheckpointError: A file cannot be read.
    """
    ensemble = Ensemble([load_model(path) for path in weights]).eval()
    first, *others = (read_notes(path) for path in weights)
    same = all(notes.get(key) == first.get(key) for notes in others for key in _IMAGES)
    if same:
        others = [{key: value for key, value in notes.items() if key not in _IMAGES} for notes in others]
    notes: dict[str, Any] = {**first, "members": others}
    save_model(ensemble, out, notes=notes, half=half)
    return ensemble
