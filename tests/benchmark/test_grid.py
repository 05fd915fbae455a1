"""A benchmark from its words to its folder, and again after every kind of end."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image, ImageOps
from tiny_grid import MODELS, contents, folders

from dermseg.benchmark import cell as cells
from dermseg.benchmark.plan import read_plan, read_split
from dermseg.benchmark.state import claimed, read_state
from dermseg.errors import ConfigError, DataError
from dermseg.training.module import SegmentationTask


class Killed(BaseException):
    """Ends a run from within, without the clean-up that an error would get from the code under test."""


def test_every_cell_leaves_its_results(unbroken):
    assert [folder.parent.name + "/" + folder.name for folder in folders(unbroken)] == [
        f"{label}/fold-{fold}-seed-0" for label in ("unet", "vm_unet+tiny") for fold in (1, 2)
    ]
    for folder in folders(unbroken):
        split = read_split(unbroken, int(folder.name[5]))
        with (folder / "per_image.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["identifier"] for row in rows] == sorted(split.test)
        assert all(
            0 <= float(row["dice"]) <= 1 and (row["height"], row["width"]) == ("32", "32") for row in rows
        )
        counted = json.loads((folder / "calibration.json").read_text())
        assert sum(counted["count"]) == 32 * 32 * len(rows)
        for row in rows:
            mask = np.array(Image.open(folder / "masks" / f"{row['identifier']}.png"))
            assert (mask.dtype, mask.shape) == (bool, (32, 32))
            assert mask.sum() == int(row["tp"]) + int(row["fp"])
        state, facts = read_state(folder), json.loads((folder / "cell.json").read_text())
        assert state.state == "done"
        assert (facts["system"], facts["split"]["checksum"]) == (folder.parent.name, split.checksum)
        assert facts["parameters"] > 1000 < facts["multiply_adds"]
        assert facts["images_per_second"] > 0 < facts["peak_memory_bytes"]
        assert (folder / "run" / "metrics.csv").read_text().count("\n") == 3
        assert not list((folder / "run").rglob("*.ckpt")) + list((folder / "run").glob("*.safetensors"))


def test_folds_share_no_image_and_test_every_one(unbroken):
    splits = [read_split(unbroken, fold) for fold in (1, 2)]
    tested = [name for split in splits for name in split.test]
    assert len(tested) == len(set(tested)) == read_plan(unbroken).data.images == 12
    assert all(set(split.identifiers) == set(tested) for split in splits)
    assert all(split.validation for split in splits)


def test_scores_are_those_of_the_epoch_chosen_on_validation(unbroken):
    for folder in folders(unbroken):
        facts = json.loads((folder / "cell.json").read_text())
        rows = list(csv.DictReader((folder / "run" / "metrics.csv").read_text().splitlines()))
        best = max(rows, key=lambda row: (float(row["val_dice"]), -float(row["val_loss"])))
        assert facts["best_epoch"] == int(best["epoch"])


def test_what_is_done_never_runs_again(run, unbroken, tmp_path, monkeypatch):
    shutil.copytree(unbroken, tmp_path / "results")
    monkeypatch.setattr(cells, "train", None)
    found, text = run()
    assert len(found.having("done")) == 4
    assert "4 of 4 cells are done" in text
    assert "dermseg benchmark report" in text
    assert contents(tmp_path / "results") == contents(unbroken)


def test_a_benchmark_goes_on_from_its_folder_alone(run, unbroken, tmp_path):
    shutil.copytree(unbroken, tmp_path / "results")
    shutil.rmtree(tmp_path / "results" / "cells" / "unet" / "fold-2-seed-0")
    found, _ = run(models=[], data=None)
    assert len(found.having("done")) == 4
    assert contents(tmp_path / "results") == contents(unbroken)


@pytest.mark.slow
def test_systems_and_seeds_may_be_added(run, unbroken, tmp_path):
    shutil.copytree(unbroken, tmp_path / "results")
    before = contents(tmp_path / "results")
    found, _ = run(models=["unet+width=3"], seeds=2, settings={"epochs": 2})
    assert len(found.having("done")) == len(found.cells) == 12
    after = contents(tmp_path / "results")
    assert {name: after[name] for name in before} == before
    curves = [
        (tmp_path / "results" / "cells" / "unet" / f"fold-1-seed-{seed}/run/metrics.csv").read_text()
        for seed in (0, 1)
    ]
    assert curves[0] != curves[1]


def dying(function, *, when):
    """Have a function end the process, as a kill does, when its arguments are so."""

    def killed(*arguments, **named):
        if when(*arguments):
            raise Killed
        return function(*arguments, **named)

    return killed


MOMENTS = {
    "in an epoch": (
        (SegmentationTask, "training_step"),
        lambda task, *_: task.current_epoch == 1 and task.network.name == "vm_unet",
    ),
    "before the test": ((cells, "score_images"), lambda predictor, *_: predictor.model.name == "vm_unet"),
    "after the test": ((cells, "write_json"), lambda path, _: "vm_unet" in str(path) and path.stem == "cell"),
}
"""What to break, and at which call."""


@pytest.mark.parametrize(
    "moment", ["in an epoch", *(pytest.param(name, marks=pytest.mark.slow) for name in [*MOMENTS][1:])]
)
def test_a_killed_benchmark_goes_on_to_the_same_results(run, unbroken, tmp_path, monkeypatch, moment):
    (module, name), when = MOMENTS[moment]
    with monkeypatch.context() as patch:
        patch.setattr(module, name, dying(getattr(module, name), when=when))
        with pytest.raises(Killed):
            run()
    [folder] = [folder for folder in folders(tmp_path / "results") if folder.parent.name == "vm_unet+tiny"]
    assert read_state(folder).state == "running"
    found, _ = run()
    assert len(found.having("done")) == 4
    assert contents(tmp_path / "results") == contents(unbroken)


@pytest.mark.slow
def test_the_time_budget_ends_it_and_says_how_to_go_on(run, unbroken, tmp_path):
    found, text = run(time_budget=1e-9)
    assert not found.having("done")
    assert (
        f"The time budget is over. Continue with: dermseg benchmark run --out {tmp_path / 'results'}" in text
    )
    found, text = run(time_budget=0.02)
    assert len(found.having("done")) < 4
    run()
    assert contents(tmp_path / "results") == contents(unbroken)


def test_a_failing_cell_is_tried_again_and_keeps_nothing_back(run, unbroken, tmp_path, monkeypatch):
    tries = []

    def failing(arguments, console):
        if "fold-1" in str(arguments.out):
            tries.append(arguments.out)
            raise RuntimeError("device\nlost")
        return train(arguments, console)

    train = cells.train
    with monkeypatch.context() as patch:
        patch.setattr(cells, "train", failing)
        found, text = run(models=[MODELS[0]], attempts=3)
    assert len(tries) == 3
    assert (len(found.having("done")), len(found.having("failed"))) == (1, 1)
    assert "failed: unet/fold-1-seed-0: RuntimeError: device lost" in text
    folder = tmp_path / "results" / "cells" / "unet" / "fold-1-seed-0"
    assert "device\nlost" in (folder / "error.txt").read_text()
    found, _ = run(models=[MODELS[0]])
    assert len(found.having("done")) == 2
    assert not (folder / "error.txt").exists()
    expected = {name: content for name, content in contents(unbroken).items() if "vm_unet" not in name}
    assert contents(tmp_path / "results") == expected


def test_a_cell_of_another_process_is_left_to_it(run, unbroken, tmp_path):
    shutil.copytree(unbroken, tmp_path / "results")
    held = tmp_path / "results" / "cells" / "unet" / "fold-1-seed-0"
    (held / "state.json").unlink()
    with claimed(held) as ours:
        assert ours
        found, text = run()
    assert "unet/fold-1-seed-0: is run by another process" in text
    assert len(found.having("done")) == 3


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"folds": 3}, "folds is 3, but the benchmark in .* has 2"),
        ({"recipe": "own"}, "recipe is own"),
        (
            {"settings": {"learning_rate": 0.5}},
            r"settings.learning_rate is 0.5, but the benchmark in .* has 0.01",
        ),
        (
            {"settings": {"gradient_clip": 1.0}},
            "settings.gradient_clip is 1.0, but the benchmark in .* has None",
        ),
        ({"settings": {"threads": 2}}, "settings.threads is 2"),
        (
            {"models": [MODELS[0] | {"model_arguments": {"width": 4}}]},
            "unet is .*4.*, but the benchmark in .*2",
        ),
        ({"models": ["unett"]}, "unett.*did you mean"),
    ],
)
def test_another_benchmark_in_the_same_folder_is_refused(run, unbroken, tmp_path, fields, message):
    shutil.copytree(unbroken, tmp_path / "results")
    before = (tmp_path / "results" / "benchmark.json").read_bytes()
    with pytest.raises(ConfigError, match=message):
        run(**fields)
    assert (tmp_path / "results" / "benchmark.json").read_bytes() == before


@pytest.mark.slow
def test_moved_data_are_found_again_and_others_refused(run, unbroken, drawn, tmp_path):
    shutil.copytree(unbroken, tmp_path / "results")
    shutil.rmtree(tmp_path / "results" / "cells" / "unet" / "fold-1-seed-0")
    moved = shutil.copytree(drawn, tmp_path / "moved" / drawn.name)
    found, _ = run(data=str(moved))
    assert len(found.having("done")) == 4
    assert contents(tmp_path / "results") == contents(unbroken)
    next((moved / "images").iterdir()).unlink()
    with pytest.raises(DataError, match="11 usable images that are not the 12"):
        run(data=str(moved))


def inverted(drawn, folder):
    """Return a copy of the images in which every mask marks the skin, under the same names."""
    data = shutil.copytree(drawn, folder / drawn.name)
    for path in (data / "masks").iterdir():
        ImageOps.invert(Image.open(path).convert("L")).save(path)
    return data


def test_changed_masks_of_the_same_names_are_refused(run, unbroken, drawn, tmp_path):
    shutil.copytree(unbroken, tmp_path / "results")
    path = tmp_path / "results" / "benchmark.json"
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"other pixels \(at 32 px, squash\): .*restore them"):
        run(models=["unet+width=3"], data=str(inverted(drawn, tmp_path)))
    assert path.read_bytes() == before


def test_a_benchmark_without_a_checksum_of_pixels_goes_on_and_gets_one(run, unbroken, tmp_path):
    shutil.copytree(unbroken, tmp_path / "results")
    path = tmp_path / "results" / "benchmark.json"
    plan = json.loads(path.read_text())
    kept = plan["data"].pop("pixels")
    path.write_text(json.dumps(plan))
    found, _ = run()
    assert len(found.having("done")) == 4
    assert json.loads(path.read_text())["data"]["pixels"] == kept
    assert [*kept] == ["32 px, squash"]


@pytest.mark.slow
def test_a_moved_benchmark_goes_on(run, grid, unbroken, tmp_path):
    run(settings={"epochs": 2}, time_budget=1e-9)
    (tmp_path / "results").rename(tmp_path / "elsewhere")
    from rich.console import Console

    from dermseg.benchmark.run import run_benchmark

    run_benchmark(grid(tmp_path / "elsewhere"), Console(quiet=True))
    assert contents(tmp_path / "elsewhere") == contents(unbroken)


def test_a_changed_split_is_noticed(run, unbroken, tmp_path):
    shutil.copytree(unbroken, tmp_path / "results")
    shutil.rmtree(tmp_path / "results" / "cells" / "unet" / "fold-1-seed-0")
    path = tmp_path / "results" / "splits" / "fold-1.json"
    path.write_text(path.read_text().replace("00001", "00002"))
    found, text = run()
    assert [status.cell.name for status in found.having("failed")] == ["unet/fold-1-seed-0"]
    assert "Split lesions-fold-1-of-2" in text


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"version": 1, "models": 3}', "\x00\xff"])
def test_a_damaged_plan_is_named(run, tmp_path, content):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "benchmark.json").write_text(content, encoding="latin-1")
    with pytest.raises(DataError, match=r"benchmark\.json"):
        run()


def test_a_plan_of_an_unknown_layout_is_damaged(run, unbroken, tmp_path):
    shutil.copytree(unbroken, tmp_path / "results")
    path = tmp_path / "results" / "benchmark.json"
    text = path.read_text()
    assert '"layout": "auto"' in text
    path.write_text(text.replace('"layout": "auto"', '"layout": "pile"'))
    with pytest.raises(DataError, match=r"benchmark\.json is damaged .*'pile'"):
        run()


def test_a_mistake_leaves_nothing_behind(run, tmp_path):
    for fields, message in (
        ({"models": []}, "--models"),
        ({"data": None}, "--data"),
        ({"models": ["unet+widht=3"]}, "widht"),
        ({"settings": {"lerning_rate": 1}}, "settings.lerning_rate"),
        ({"settings": {"seed": 1}}, "settings.seed is for --seeds to decide"),
        ({"settings": {"epochs": "many"}}, "epochs"),
        ({"seeds": 1_000_000_000}, "more than 100,000 cells; use fewer seeds"),
        ({"recipe": "own", "models": ["vision_lstm_unet"]}, "vision_lstm_unet"),
    ):
        with pytest.raises(ConfigError, match=message):
            run(**fields)
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_a_damaged_state_lets_the_cell_go_on(run, unbroken, tmp_path):
    shutil.copytree(unbroken, tmp_path / "results")
    for content, folder in zip(("", '{"state": "odd"}', "[]"), folders(tmp_path / "results"), strict=False):
        (folder / "state.json").write_text(content)
    found, _ = run()
    assert len(found.having("done")) == 4


def test_the_recipe_of_the_authors_is_taken_and_settings_win(run, tmp_path):
    found, _ = run(models=["unext"], recipe="own", folds=2, time_budget=1e-9)
    assert [system.label for system in found.plan.systems] == ["unext"]
    assert found.plan.epochs == {"unext": 2}


def test_weights_are_kept_on_demand(run, tmp_path):
    run(models=[MODELS[0]], keep_weights=True, settings={"epochs": 1})
    assert len(list((tmp_path / "results").rglob("model.safetensors"))) == 2
