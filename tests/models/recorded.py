"""Logits on record of every network that has a tester, under weights that any machine can draw again.

They hold the wiring in place where the released outputs (test_parity.py) are not at hand. After a change that
is meant, and proven against those, this writes them anew:

    DERMSEG_RECORD=1 python -m pytest -n 0 tests/models -k on_record
"""

import json
import os
from pathlib import Path

import numpy as np
import torch

from dermseg.models.base import SegmentationModel

FILE = Path(__file__).with_name("recorded.json")
POINTS = 8
"""Logits of a network that are on record."""


def recorded(name: str, found: torch.Tensor) -> torch.Tensor:
    """Return what is on record under a name; where the environment asks for it, record what was found."""
    known = json.loads(FILE.read_text(encoding="utf-8"))
    if os.environ.get("DERMSEG_RECORD"):
        known[name] = found.tolist()
        FILE.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n", encoding="utf-8")
    return torch.tensor(known[name], dtype=torch.float64)


@torch.no_grad()
def some_logits(model: SegmentationModel, size: tuple[int, int]) -> torch.Tensor:
    """Give logits (`POINTS`,) spread over an image, of a network whose weights this draws, in float64."""
    model = model.double().eval()
    _draw_weights(model)
    logits = model(torch.tensor(np.random.RandomState(1).standard_normal((1, 3, *size)))).flatten()
    return logits[torch.linspace(0, len(logits) - 1, POINTS).long()]


def _draw_weights(model: SegmentationModel) -> None:
    """Replace all weights and running statistics; NumPy promises that this generator never changes."""
    random = np.random.RandomState(0)
    state = dict(model.named_parameters()) | {
        name: value for name, value in model.named_buffers() if name.endswith(("running_mean", "running_var"))
    }
    for name in sorted(state):
        value = state[name]
        drawn = torch.tensor(random.standard_normal(tuple(value.shape)))
        if value.dim() > 1:
            drawn /= value[0].numel() ** 0.5
        elif name.endswith("running_var"):
            drawn = 1 + 0.1 * drawn.abs()
        else:
            drawn = name.endswith("weight") + 0.1 * drawn
        value.copy_(drawn)
