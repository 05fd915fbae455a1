"""Every configs/benchmark_*.yaml begins a benchmark, all of whose networks can be built."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from dermseg.benchmark.arguments import parse
from dermseg.benchmark.preparation import prepare_benchmark
from dermseg.benchmark.settings import system_arguments

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("benchmark_*.yaml"))


def test_there_are_grids():
    assert len(CONFIGS) >= 3


@pytest.mark.filterwarnings("ignore::dermseg.errors.DermsegWarning")
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=() if path.stem == "benchmark_reduced" else pytest.mark.slow)
        for path in CONFIGS
    ],
)
def test_grid_begins(path, drawn, tmp_path):
    asked = parse(["--config", str(path)])
    # The images are few and small, and nothing is trained; all else is as in the file.
    settings = asked.arguments.settings | {"size": 32, "cache": str(tmp_path / "cache")}
    small = replace(asked.arguments, data=str(drawn), out=tmp_path / "results", settings=settings)
    plan = prepare_benchmark(replace(asked, arguments=small), Console(quiet=True))
    assert len(plan.cells()) == 5 * len(plan.systems)
    assert len({str(system_arguments(s, plan.recipe, plan.settings)) for s in plan.systems}) == len(
        plan.systems
    )
