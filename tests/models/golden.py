"""The released systems' weights, inputs and outputs, where `shared/reference` stands beside the checkout."""

import importlib.util
import json
import os
from collections.abc import Callable
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
        return {key: self._tensor(key, shape, salt) for key, shape in entries}

    def _tensor(self, key: str, shape: tuple[int, ...], salt: int) -> Tensor:
        if key.endswith(self.recipe.SKIP):
            return torch.zeros(shape, dtype=torch.long)
        return torch.from_numpy(self.recipe.fill(key, shape, salt))

    def images(self, batch: int, salt: int = 0, size: int | None = None) -> Tensor:
        side = size or self.facts.get("input_size", [1, 3, 256, 256])[-1]
        return torch.from_numpy(self.recipe.image((batch, 3, side, side), salt))

    def assert_close(self, actual: Tensor, output: str, atol: float | None = None) -> None:
        """Compare with a recorded tensor, which keeps only every so many elements of each dimension.

        Without `atol`, the tolerance is that of the system's json, and for intermediate tensors 5e-4 of
        their largest value, as the json says.
        """
        facts = (self.facts["outputs"] | self.facts.get("hooks", {}))[output]
        assert list(actual.shape) == facts["shape"], output
        if atol is None:
            suggested = self.facts.get("suggested_atol") or {}
            atol = suggested.get(output, 5e-4 * max(abs(facts["min"]), abs(facts["max"])))
        recorded = torch.from_numpy(self.outputs[output])
        torch.testing.assert_close(_sampled(actual, facts), recorded, atol=atol, rtol=0, msg=_naming(output))

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


def _naming(output: str) -> Callable[[str], str]:
    """Say which tensor it is that differs."""
    return lambda message: f"{output}: {message}"


def _sampled(actual: Tensor, facts: dict[str, Any]) -> Tensor:
    """Keep the elements that were recorded; the two families of recordings describe them differently."""
    if "subsample_step" in facts:
        return actual[tuple(slice(None, None, step) for step in facts["subsample_step"])]
    if facts.get("npz_channels") == "step":
        tokens, channels = facts["npz_step"]
        return actual[:, ::tokens, ::channels]
    step = facts["npz_step"]
    return actual[:, :8, ::step, ::step]


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
