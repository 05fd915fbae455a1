"""The released systems' weights, inputs and outputs, where `shared/reference` stands beside the checkout."""

import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

REFERENCE = Path(os.environ.get("DERMSEG_REFERENCE") or Path(__file__).parents[3] / "shared" / "reference")

needs_reference = pytest.mark.skipif(
    not (REFERENCE / "recipe.py").is_file(),
    reason=f"no golden data in {REFERENCE}; set DERMSEG_REFERENCE to the folder that holds recipe.py",
)


@dataclass(frozen=True)
class Golden:
    """One released system under `recipe.py`'s weights."""

    name: str
    facts: dict[str, Any]
    outputs: dict[str, np.ndarray]
    recipe: Any

    def state_dict(self, salt: int = 0) -> dict[str, Tensor]:
        entries = ((key, tuple(shape)) for key, shape in self.facts["state_dict"])
        return {key: torch.from_numpy(self.recipe.fill(key, shape, salt)) for key, shape in entries}

    def images(self, batch: int, salt: int = 0) -> Tensor:
        return torch.from_numpy(self.recipe.image((batch, 3, 256, 256), salt))

    def assert_close(self, actual: Tensor, output: str, atol: float) -> None:
        """Compare with a recorded output, which keeps only every so many elements of each dimension."""
        steps = self.facts["outputs"][output]["subsample_step"]
        sampled = actual[tuple(slice(None, None, step) for step in steps)]
        torch.testing.assert_close(sampled, torch.from_numpy(self.outputs[output]), atol=atol, rtol=0)

    def assert_statistics(self, actual: Tensor, output: str, atol: float) -> None:
        """Compare with the recorded statistics of the second set of weights and images (salt 1)."""
        recorded = self.facts["heldout_outputs"][output]
        found = {
            "min": actual.min(),
            "max": actual.max(),
            "mean": actual.mean(),
            "std": actual.std(correction=0),
        }
        assert list(actual.shape) == recorded["shape"]
        assert {key: value.item() for key, value in found.items()} == pytest.approx(
            {key: recorded[key] for key in found}, abs=atol
        )


def golden(name: str) -> Golden:
    specification = importlib.util.spec_from_file_location("recipe", REFERENCE / "recipe.py")
    assert specification is not None
    assert specification.loader is not None
    recipe = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(recipe)
    with np.load(REFERENCE / "golden" / f"{name}.npz") as outputs:
        return Golden(
            name, json.loads((REFERENCE / "golden" / f"{name}.json").read_text()), dict(outputs), recipe
        )
