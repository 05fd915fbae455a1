"""What a cell trains with."""

from dataclasses import replace
from pathlib import Path

from stored import write_benchmark

from dermseg.benchmark.plan import cell_folder, split_file
from dermseg.benchmark.settings import cell_arguments


def test_a_cell_trains_on_its_own_fold_with_its_own_seed(tmp_path):
    plan = write_benchmark(tmp_path, {"unet": 0.8}, folds=2, seeds=2)
    plan = replace(plan, allow_leak=True, data=replace(plan.data, folder="here", masks="there"))
    for cell in plan.cells():
        arguments = cell_arguments(plan, tmp_path, cell)
        assert (arguments.model, arguments.size, arguments.seed) == ("unet", 32, cell.seed)
        assert arguments.split == str(split_file(tmp_path, cell.fold))
        assert (arguments.out, arguments.resume) == (cell_folder(tmp_path, cell) / "run", True)
        assert (arguments.data, arguments.masks, arguments.layout) == ("here", Path("there"), "folder")
        assert arguments.allow_leak
