"""Every recipe is executed: a small form of its network takes the recipe's own steps on drawn images."""

import importlib
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.console import Console

from dermseg.models.registry import create_model, list_models
from dermseg.training.command import parse
from dermseg.training.configuration import recipes
from dermseg.training.run import train

pytestmark = pytest.mark.usefixtures("no_pictures")

MODELS = Path(__file__).parents[1] / "models"
VARIANTS = {
    "swin_unet_256": "swin_unet",
    "unet_plus_plus_ds": "unet_plus_plus",
    "unext_s": "unext",
    "vm_unet_d2292": "vm_unet",
    "vm_unet_v2_nods": "vm_unet_v2",
}
"""Systems that are small in the way of another one."""
PLACE = ("data", "validation", "threads", "device", "out", "cache")
"""Arguments that a recipe does not speak of."""


@pytest.fixture(scope="module")
def small():
    """Return the class of contract tests of each system, which knows a small form of it."""
    sys.path.insert(0, str(MODELS))
    try:
        modules = [importlib.import_module(path.stem) for path in sorted(MODELS.glob("test_*.py"))]
    finally:
        sys.path.remove(str(MODELS))
    classes = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    return {c.name: c for c in classes if hasattr(c, "name") and hasattr(c, "overfit_steps")}


@pytest.mark.parametrize("name", recipes())
def test_recipe_trains(name, small, tiny):
    assert name in list_models()
    tester = small.get(name) or small[VARIANTS[name]]
    own = parse(["--recipe", "own", "--model", name])
    shrunk = replace(
        own,
        **{field: getattr(tiny(), field) for field in PLACE},
        # A small form of the network; it cannot have the weights and the position table of the large one.
        model_arguments=tester.arguments,
        size=tester.square[0],
        batch_size=min(own.batch_size, 2),
        epochs=1,
    )
    assert {*own.model_arguments} <= {"pretrained", "size", "steps"}
    result = train(shrunk, Console(quiet=True))
    [row] = result.history.epochs
    assert math.isfinite(row.train_loss)
    assert row.learning_rate == own.learning_rate
    torch.manual_seed(shrunk.seed)
    before = create_model(name, **tester.arguments).state_dict()
    after = torch.load(result.folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert any(not torch.equal(value, after[f"network.{key}"]) for key, value in before.items())
