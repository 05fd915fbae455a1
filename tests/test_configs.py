"""Every YAML file in configs/ is executed: built at its own size, then trained for one tiny step."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from dermseg.models.registry import create_model
from dermseg.training.command import parse
from dermseg.training.run import train

# Those of the benchmark are grids of many trainings, with a test of their own.
CONFIGS = sorted(
    path
    for path in (Path(__file__).parent.parent / "configs").glob("*.yaml")
    if not path.name.startswith("benchmark_")
)


def test_there_are_configurations():
    assert CONFIGS


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configuration_trains(path, tmp_path):
    asked = parse(["--config", str(path)])
    assert create_model(asked.model, **asked.model_arguments).name == asked.model
    narrow = {"width": 8, "depths": [1, 1, 1, 1], "depths_decoder": [1, 1, 1, 1]}
    if asked.model == "xlstm_vmunet":
        narrow["fusion_width"] = 16
    tiny = replace(
        asked,
        model_arguments=asked.model_arguments | narrow,
        data="synthetic",
        synthetic_images=8,
        split=None,
        size=32,
        batch_size=2,
        epochs=1,
        validation=0.25,
        cache=tmp_path / "cache",
        out=tmp_path / "run",
        device="cpu",
    )
    assert train(tiny, Console(quiet=True)).complete
