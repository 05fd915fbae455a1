"""What shows one lesion stays on one side of every fold."""

import shutil

import pytest
from rich.console import Console

from dermseg.benchmark.plan import read_plan, read_split
from dermseg.benchmark.preparation import prepare_benchmark
from dermseg.data.splits import SIDES
from dermseg.errors import ConfigError

LESION = ("synthetic-0-00000", "synthetic-0-00005", "synthetic-0-00007")


@pytest.fixture
def planted(drawn, tmp_path):
    """Return the drawn images, of which two have a copy of the same picture."""
    data = shutil.copytree(drawn, tmp_path / "planted")
    for number in (1, 2):
        for folder in ("images", "masks"):
            name = f"synthetic-0-0000{number}.png"
            shutil.copy(data / folder / name, data / folder / f"copy-{number}.png")
    return data


def sides(results, fold):
    split = read_split(results, fold)
    return {name: side for side in SIDES for name in getattr(split, side)}


def test_copies_and_one_lesion_stay_together(grid, planted, tmp_path):
    table = tmp_path / "lesions.csv"
    table.write_text("image_id,lesion_id\n" + "".join(f"{name},L1\n" for name in LESION))
    out = tmp_path / "results"
    prepare_benchmark(grid(out, data=str(planted), groups=table, folds=4), Console(quiet=True))
    assert read_plan(out).data.images == 14
    for fold in range(1, 5):
        side = sides(out, fold)
        assert all(side[f"copy-{number}"] == side[f"synthetic-0-0000{number}"] for number in (1, 2))
        assert len({side[name] for name in LESION}) == 1
        kept = [set(names) for names in read_split(out, fold).origin["kept_together"]]
        assert set(LESION) in kept
        assert {"copy-1", "synthetic-0-00001"} in kept


def test_leaks_are_allowed_on_demand_and_noted(grid, planted, tmp_path):
    out = tmp_path / "results"
    prepare_benchmark(grid(out, data=str(planted), folds=7, allow_leak=True), Console(quiet=True))
    assert read_plan(out).allow_leak
    apart = [
        sides(out, fold)[f"copy-{number}"] != sides(out, fold)[f"synthetic-0-0000{number}"]
        for fold in range(1, 8)
        for number in (1, 2)
    ]
    assert any(apart)


def test_a_second_beginner_finds_the_folds_of_the_first(grid, tmp_path):
    out = tmp_path / "results"
    prepare_benchmark(grid(out), Console(quiet=True))
    before = (out / "splits" / "fold-1.json").read_bytes()
    prepare_benchmark(grid(out), Console(quiet=True))
    assert (out / "splits" / "fold-1.json").read_bytes() == before


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"folds": 13}, "folds=13"), ({"settings": {"validation": 0.01}}, "no validation images")],
)
def test_too_few_images_are_said_to_be_too_few(grid, tmp_path, fields, message):
    with pytest.raises(ConfigError, match=message):
        prepare_benchmark(grid(tmp_path / "results", **fields), Console(quiet=True))
    assert not (tmp_path / "results" / "benchmark.json").exists()
