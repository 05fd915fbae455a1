"""The script behind the weights that ship: what it joins, keeps and throws away. It trains elsewhere."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from dermseg.card.scores import METRICS, Row
from dermseg.data.splits import Split, save_split
from dermseg.evaluation.calibration import Calibration
from dermseg.files import copy, read_json, write_json
from dermseg.models.registry import create_model
from dermseg.models.weights import load_model, save_model

SCRIPT = Path(__file__).parents[1] / "scripts" / "train_default.py"
SMALL = {"width": 8, "depths": (1, 1, 1, 1), "depths_decoder": (1, 1, 1, 1), "state": 2}


@pytest.fixture(scope="module")
def script():
    specification = importlib.util.spec_from_file_location("train_default", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["train_default"] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def plan(script, tmp_path):
    return script.Plan("default", Path("ISIC"), Path("PH2"), tmp_path, None, 1, "final", (1, 2))


@pytest.fixture
def trained(script, monkeypatch):
    """Stand in for the training: a network drawn from seed and `shift`, and the order of the calls."""
    made = SimpleNamespace(shift=0, calls=[])

    def train(arguments, console):
        assert arguments.weights is None or Path(arguments.weights).exists()
        made.calls.append((arguments.out.name, arguments.seed, arguments.size))
        arguments.out.mkdir(exist_ok=True)
        torch.manual_seed(arguments.seed + made.shift)
        save_model(create_model("vm_unet", **SMALL), arguments.out / "model.safetensors")
        save_split(Split("s", ("a",), ("b",), ("c",)), arguments.out / "split.json")
        return SimpleNamespace(complete=True)

    monkeypatch.setattr(script, "train", train)
    return made


@pytest.fixture
def scored(script, monkeypatch, tmp_path):
    """Stand in for fits and scores: every network has the Dice `dice` of its run on its fold's one image."""
    made = SimpleNamespace(dice={}, calls=[])
    columns = ("height", "width", *METRICS, "tp", "fp", "fn")

    def calibrate(weights, unseen, out, *_, mirrors):
        assert [(path, list(pairs)) for path, pairs in unseen] == [(weights, ["b"])]
        copy(weights, out)

    def evaluate(data, *, weights, split, out):
        run = weights.parent.relative_to(tmp_path)
        made.calls.append((data.name, str(run)))
        out.mkdir(parents=True)
        dice = made.dice[str(run)]
        table = f"identifier,{','.join(columns)}\n{run.parts[0]},1,1{f',{dice}' * (len(columns) - 2)}\n"
        (out / "per_image.csv").write_text(table)
        write_json(out / "calibration.json", Calibration.none().to_json())
        write_json(out / "summary.json", {"model": {"name": str(tmp_path)}, "split": "s"})

    monkeypatch.setattr(script, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(script, "read_collection", lambda _: SimpleNamespace(select=list))
    monkeypatch.setattr(script, "calibrate", calibrate)
    monkeypatch.setattr(script, "evaluate", evaluate)
    return made


def test_every_seed_trains_all_parts_and_their_networks_are_joined(script, plan, trained):
    script.run(plan, "ours-1", "split.json")
    assert trained.calls == [
        ("ours-1-seed0-first", 0, 128),
        ("ours-1-seed0-second", 0, 160),
        ("ours-1-seed0", 0, 160),
        ("ours-1-seed1-first", 1, 128),
        ("ours-1-seed1-second", 1, 160),
        ("ours-1-seed1", 1, 160),
    ]
    joined = load_model(plan.work / "ours-1" / "model.safetensors")
    for seed, member in enumerate(joined.members):
        alone = load_model(plan.work / f"ours-1-seed{seed}" / "model.safetensors")
        assert all(torch.equal(a, b) for a, b in zip(member.parameters(), alone.parameters(), strict=True))


def test_one_seed_is_one_network(script, plan, trained):
    script.run(replace(plan, network="tiny"), "ours-1", "split.json")
    assert load_model(plan.work / "ours-1" / "model.safetensors").name == "vm_unet"
    assert len(trained.calls) == 3


def test_a_fit_stays_as_long_as_its_network_does(script, plan, trained):
    script.run(plan, "ours-1", "split.json")
    fit = plan.work / "ours-1" / "fitted.safetensors"
    fit.touch()
    script.run(plan, "ours-1", "split.json")
    assert fit.exists()
    trained.shift = 5
    script.run(plan, "ours-1", "split.json")
    assert not fit.exists()


def test_the_first_network_of_every_fold_is_scored_alone(script, plan, trained, scored):
    scored.dice = {"ours-1-seed0/alone": 0.5, "ours-2-seed0/alone": 0.75}
    for fold in (1, 2):
        script.run(plan, f"ours-{fold}", "split.json")
    script.alone(plan)
    script.alone(plan)  # resumed: scores nothing twice
    assert scored.calls == [(data, f"ours-{fold}-seed0/alone") for fold in (1, 2) for data in ("ISIC", "PH2")]
    summary = read_json(script.RESULTS / "default" / "alone" / "isic2018-folds" / "summary.json")
    assert summary["images"] == 2
    assert summary["per_image_mean"]["dice"]["mean"] == 0.625
    assert summary["model"]["name"] == "RUNS"


def test_ours_and_the_first_of_ours_are_compared_with_the_peer(script, plan, trained, scored):
    scored.dice = {"ours-1": 0.5, "ours-1-seed0/alone": 0.25, "peer-1": 0.375}
    script.run(plan, "ours-1", "split.json")
    script.run(plan, "peer-1", "split.json")
    script.alone(replace(plan, folds=(1,)))
    for run in ("ours-1", "peer-1"):
        script.score_fold(plan, plan.work / run, plan.work / run)
    script.compare(plan)
    found = read_json(script.RESULTS / "default" / "peer" / "compare.json")
    assert found["folds"] == [1]  # of two: the other has no peer
    assert {name: entry["dice"] for name, entry in list(found["ph2"].items())[1:]} == {
        "ours": 0.5,
        "alone": 0.25,
        "peer": 0.375,
    }
    assert found["ph2"]["ours"]["rank_biserial"] == 1
    assert found["ph2"]["alone"]["rank_biserial"] == -1


def test_a_fold_is_scored_under_what_ships_but_for_the_threshold_that_the_others_chose(
    script, plan, trained, scored
):
    scored.dice = {"ours-1/crossed": 0.5, "ours-2/crossed": 0.75}
    for fold in (1, 2):
        script.run(plan, f"ours-{fold}", "split.json")
    script.run(plan, "final", "split.json")
    fitted = {"size": 96, "mirrors": True, "temperature": 2.0, "crossed_thresholds": [0.4, 0.6]}
    save_model(
        load_model(plan.work / "final" / "model.safetensors"), plan.weights, notes={"calibration": fitted}
    )
    assert script.score_crossed(plan) == script.CROSSED
    assert scored.calls == [("ISIC", "ours-1/crossed"), ("ISIC", "ours-2/crossed")]
    image = torch.randn(1, 3, 32, 32)
    for fold, threshold in zip((1, 2), (0.4, 0.6), strict=True):
        before = load_model(plan.work / f"ours-{fold}" / "model.safetensors")
        model = load_model(plan.work / f"ours-{fold}" / "crossed" / "fitted.safetensors")
        assert (model.preprocessing.size, model.mirrors, model.threshold) == (96, True, threshold)
        torch.testing.assert_close(2 * model(image), before(image), atol=2e-2, rtol=2e-2)
    script.gather_folds(plan, script.CROSSED, plan.work / "all")
    assert read_json(plan.work / "all" / "summary.json")["per_image_mean"]["dice"]["mean"] == 0.625


def test_an_unfinished_training_ends_the_stage(script, plan, trained, monkeypatch):
    monkeypatch.setattr(script, "train", lambda *_: SimpleNamespace(complete=False))
    with pytest.raises(SystemExit, match="ours-1-seed0-first: the time budget is spent"):
        script.run(plan, "ours-1", "split.json")


def test_an_image_that_several_networks_scored_counts_once(script):
    def table(**dice):
        return [Row(name, 1, 1, {"dice": value}) for name, value in dice.items()]

    assert script.mean_dice([table(b=0.5, a=0.25), table(a=0.75)]) == [0.5, 0.5]


def test_curves_of_all_trainings_are_one_table(script, plan, scored):
    for run in ("ours-1-seed0", "ours-1-seed0-first"):
        (plan.work / run).mkdir()
        (plan.work / run / "metrics.csv").write_text("epoch,val_dice\n1,0.5\n2,0.75\n")
    script.curves(plan)
    assert (script.RESULTS / "default" / "curves.csv").read_text().splitlines() == [
        "run,epoch,val_dice",
        "ours-1-seed0,1,0.5",
        "ours-1-seed0,2,0.75",
        "ours-1-seed0-first,1,0.5",
        "ours-1-seed0-first,2,0.75",
    ]


def test_what_ships_names_no_folder_of_this_machine(script, plan):
    plan = replace(plan, isic=Path("/data/isic"), ph2=Path("/data/ph2"), work=Path("/runs"))
    text = '{"command": "evaluate /data/isic --weights /runs/x", "ph2": "/data/ph2"}'
    assert script.without_folders(plan, text) == (
        '{"command": "evaluate ISIC2018_TASK1 --weights RUNS/x", "ph2": "PH2"}'
    )
