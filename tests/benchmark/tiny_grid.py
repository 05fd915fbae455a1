"""The tiny grid of these tests, and what two runs of it must have in common."""

import json
from pathlib import Path

TINY = {"width": 8, "depths": [1, 1, 1, 1], "depths_decoder": [1, 1, 1, 1], "state": 2}
MODELS = [
    {"label": "unet", "model": "unet", "model_arguments": {"width": 2}},
    {"label": "vm_unet+tiny", "model": "vm_unet", "model_arguments": TINY},
]
SAME = ("per_image.csv", "calibration.json", "metrics.csv", "fold-*.json", "masks/*.png", "split.json")
"""Files that are equal, byte for byte, however a benchmark was run."""
MEASURED = ("images_per_second", "peak_memory_bytes", "environment")
"""What cell.json says of the machine and the moment."""


def contents(results: Path) -> dict[str, object]:
    """Return all that must not depend on where, when or in how many sittings a benchmark ran."""
    found: dict[str, object] = {
        str(path.relative_to(results)): path.read_bytes()
        for pattern in SAME
        for path in results.rglob(pattern)
    }
    for path in results.rglob("cell.json"):
        facts = json.loads(path.read_text())
        # Memory is not known where a kill came between the end of the training and the note of it.
        assert all(facts[name] or (name, facts[name]) == ("peak_memory_bytes", None) for name in MEASURED), (
            path
        )
        found[str(path.relative_to(results))] = {key: facts[key] for key in facts if key not in MEASURED}
    return found


def folders(results: Path) -> list[Path]:
    """Return the folders of all cells that have begun."""
    return sorted(path.parent for path in results.glob("cells/*/*/state.json"))
